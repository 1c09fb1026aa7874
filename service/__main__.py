"""`python -m service` is `area-supervisor`."""

from service.cli.entry import main

if __name__ == "__main__":
    main()
