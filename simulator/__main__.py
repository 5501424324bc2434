"""`python -m simulator`: one simulated modem until SIGTERM."""

import asyncio
from collections.abc import Sequence
import json
import os
import signal
import sys

from simulator.options import Options, parse
from simulator.process import SimulatedModem


async def _serve(options: Options) -> int:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        async with SimulatedModem(options) as modem:
            ready: dict[str, str | int] = {"port": modem.port, "pid": os.getpid()}
            if modem.tcp is not None:
                ready["tcp"] = modem.tcp
            sys.stdout.write(json.dumps(ready) + "\n")
            sys.stdout.flush()
            await modem.listen_to_input()
            stopped = asyncio.create_task(stop.wait())
            failed = asyncio.create_task(modem.wait())
            await asyncio.wait({stopped, failed}, return_when=asyncio.FIRST_COMPLETED)
            if failed.done():
                await failed
            failed.cancel()
    except OSError as error:
        sys.stderr.write(f"simulator: {error}\n")
        return 1
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the simulator; the exit status is 0 after SIGTERM, 2 for bad arguments."""
    options = parse(sys.argv[1:] if arguments is None else arguments)
    return asyncio.run(_serve(options))


if __name__ == "__main__":
    sys.exit(main())
