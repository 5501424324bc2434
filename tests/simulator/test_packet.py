"""Packet data: bg96.md 4, ml307r.md 3."""

from .conftest import Open


def test_contexts_of_a_bg96(port: Open) -> None:
    """M-TCP: QICSGP's query starts with the type; QIACT? lists active contexts only."""
    at = port("bg96")
    assert at.ask("AT+QIACT?") == ["OK"]
    assert at.ask('AT+QICSGP=1,1,"iot.net","me","secret",2') == ["OK"]
    assert at.ask("AT+QICSGP=1") == ['+QICSGP: 1,"iot.net","me","secret",2', "OK"]
    assert at.ask("AT+QIACT=1") == ["OK"]
    assert at.ask("AT+QIACT?") == ['+QIACT: 1,1,1,"10.64.10.190"', "OK"]
    assert at.ask("AT+CGPADDR=1") == ["+CGPADDR: 1,10.64.10.190", "OK"]
    assert at.ask("AT+QIDEACT=1") == ["OK"]
    assert at.ask("AT+QIACT?") == ["OK"]


def test_activating_twice_is_an_error(port: Open) -> None:
    """bg96.md 4: FIN; 572 as EG8b saw it."""
    at = port("bg96")
    assert at.ask("AT+QIACT=1") == ["OK"]
    assert at.ask("AT+QIACT=1") == ["ERROR"]
    assert at.ask("AT+QIGETERROR") == ["+QIGETERROR: 572,operation not allowed", "OK"]


def test_three_contexts(port: Open) -> None:
    """M-TCP: at most three."""
    at = port("bg96")
    for cid in range(1, 5):
        at.ask(f'AT+QICSGP={cid},1,"x"')
    assert [at.ask(f"AT+QIACT={cid}") for cid in range(1, 5)] == [["OK"], ["OK"], ["OK"], ["ERROR"]]


def test_activation_needs_a_network_and_its_apn(port: Open) -> None:
    """M-TCP error table: 561, 573."""
    at = port("bg96", arguments=("--registration", "denied"))
    assert at.ask("AT+QIACT=1") == ["ERROR"]
    assert at.ask("AT+QIGETERROR")[0].startswith("+QIGETERROR: 561,")
    assert at.ask("AT+QIACT=5") == ["ERROR"]
    assert at.ask("AT+QIGETERROR") == ["+QIGETERROR: 573,APN not configured", "OK"]
    picky = port("bg96", "apn=right")
    assert picky.ask('AT+QICSGP=1,1,"wrong";+QIACT=1') == ["ERROR"]
    assert picky.ask('AT+QICSGP=1,1,"Right";+QIACT=1') == ["OK"]


def test_contexts_of_an_ml307r(port: Open) -> None:
    """ml307r.md 3: dialled at boot; MIPCALL while active is OK by the manual."""
    at = port("ml307r")
    up = '+MIPCALL: 1,1,"10.64.10.190","2001:db8::64:10"'
    assert at.ask("AT+MIPCALL?") == [up, "OK"]
    assert at.ask("AT+MIPCALL=1,1") == ["OK"]
    assert at.urc("+MIPCALL:") == up
    assert at.ask("AT+MIPCALL=0,1") == ["OK"]
    assert at.urc("+MIPCALL:") == "+MIPCALL: 1,0"
    assert at.ask("AT+MIPCALL?") == ["+MIPCALL: 1,0", "OK"]
    assert at.ask('AT+CGDCONT=1,"IP","cmnet"') == ["OK"]
    assert at.ask("AT+MIPCALL=1,1") == ["OK"]
    assert at.urc("+MIPCALL:") == '+MIPCALL: 1,1,"10.64.10.190"'
    assert at.ask("AT+MIPCALL=1") == ["+CME ERROR: 50"]


def test_mipcall_while_active_on_hardware(port: Open) -> None:
    """ml307r.md 10.8: ZB and JOV saw 50."""
    assert port("ml307r", "mipcall_active=error50").ask("AT+MIPCALL=1,1") == ["+CME ERROR: 50"]


def test_no_network_no_call(port: Open) -> None:
    """ml307r.md 5.4: 571."""
    at = port("ml307r", arguments=("--registration", "searching"))
    assert at.ask("AT+MIPCALL?") == ["+MIPCALL: 1,0", "OK"]
    assert at.ask("AT+MIPCALL=1,1") == ["+CME ERROR: 571"]


def test_3gpp_definitions(port: Open) -> None:
    """27.007: CGDCONT and CGAUTH."""
    at = port("ml307r")
    assert at.ask('AT+CGDCONT=2,"IPV6","six"') == ["OK"]
    assert at.ask("AT+CGDCONT?")[1] == '+CGDCONT: 2,"IPV6","six","0.0.0.0",0,0'
    assert at.ask('AT+CGAUTH=2,1,"me","secret"') == ["OK"]
    assert at.ask("AT+CGAUTH?") == ['+CGAUTH: 2,1,"me","secret"', "OK"]
    assert at.ask('AT+CGDCONT=2,"PPP","x"') == ["+CME ERROR: 50"]
