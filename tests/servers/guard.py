"""Runs the command in its arguments and ends it when standard input closes.

Started as a program, not imported. The pipe to its standard input closes with the test process however that ends (an
exception, `os._exit`, SIGKILL), so no server is left behind.
"""

import subprocess
import sys
import threading


def main() -> int:
    """Gives the command's exit status; a command that was ended counts as 0."""
    command = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    asked_to_stop = False

    def end_with_the_pipe() -> None:
        nonlocal asked_to_stop
        sys.stdin.buffer.read()
        asked_to_stop = True
        # Not SIGTERM: SeaweedFS then drains for 15 seconds, for data that is thrown away anyway.
        command.kill()

    threading.Thread(target=end_with_the_pipe, daemon=True).start()
    status = command.wait()
    return 0 if asked_to_stop else status or 1


if __name__ == "__main__":
    sys.exit(main())
