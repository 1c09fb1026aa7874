"""`python -m service` is `area-supervisor`."""

from service.cli.main import main

if __name__ == "__main__":
    main()
