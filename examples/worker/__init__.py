"""Examples of workers, an action and a reaction, with the image they run in."""
