"""The bench counts from the simulator's trace: what it counts is checked here by hand."""

from pathlib import Path

import pytest

from scripts.stage.wire_trace import last_moment_s, read_upload

TRACE = """\
    0.100000 host> AT+CSQ\\r
    0.120000 modem< \\r\\n+CSQ: 21,99\\r\\n\\r\\nOK\\r\\n
    1.000000 host> AT+QISEND=0,1460\\r
    1.020000 modem< \\r\\n> \n\
    1.150000 host> <1460 bytes>
    1.170000 modem< \\r\\nSEND OK\\r\\n
    1.180000 host> AT+CSQ\\r
    1.200000 modem< \\r\\n+CSQ: 21,99\\r\\n\\r\\nOK\\r\\n
    1.210000 host> AT+QISEND=0,1000\\r
    1.300000 host> <1000 bytes>
    1.320000 modem< \\r\\nSEND OK\\r\\n
    1.330000 host> AT+QISEND=0,0\\r
    1.500000 host> AT+QISEND=0,10\\r
    1.510000 host> <10 bytes>
    1.600000 host> AT+CSQ\\r
    1.620000 modem< \\r\\n+CSQ: 21,99\\r\\n\\r\\nOK\\r\\n
# something that is not on the wire
"""


def test_counts_between_first_and_last_send_command(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    trace.write_text(TRACE)
    upload = read_upload(trace, after_s=0.5)
    assert upload.chunk_bytes == 1460
    assert upload.sent_bytes == 2460
    assert upload.seconds == pytest.approx(0.5)
    assert upload.polls_between_sends == 1
    assert last_moment_s(trace) == pytest.approx(1.62)


def test_a_trace_without_an_upload_is_not_a_result(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    trace.write_text(TRACE)
    with pytest.raises(ValueError, match="fewer than two"):
        read_upload(trace, after_s=1.4)
