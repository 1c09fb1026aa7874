"""An example of a worker, with the image it runs in."""
