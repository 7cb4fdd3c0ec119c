"""The command line of a release that writes another format: python -m tests.faults.release 2 work."""

import sys

from receiver.contract import formats

if __name__ == "__main__":
    formats.FORMAT = int(sys.argv.pop(1))  # before anything else reads it
    from workers.cli import main

    main()
