"""`python -m dvspipe`: the same command line."""

from dvspipe.cli import main

if __name__ == "__main__":
    main()
