"""Qiniu's form, without a network: token and etag against the official SDK, settings, and what answers mean."""

import base64
from datetime import UTC, datetime, timedelta, timezone
import io
import json
from typing import Any
from zlib import crc32

from hypothesis import given, settings as hypothesis_settings, strategies as st
import pytest
import qiniu as sdk
from qiniu.http.region import Region, ServiceName
from qiniu.http.response import ResponseInfo
from qiniu.utils import etag_stream

from custom_components.cellular_uplink.modem.errors import InputError
from custom_components.cellular_uplink.modem.routes.wire import serialise
from custom_components.cellular_uplink.modem.upload import qiniu
from custom_components.cellular_uplink.modem.upload.formats import build_request, judge_of
from custom_components.cellular_uplink.modem.upload.qiniu import Judgement, QiniuSettings, Retry
from custom_components.cellular_uplink.modem.upload.request import (
    Auth,
    AuthMethod,
    Destination,
    Picture,
    UploadFormat,
    check_destination,
)
from custom_components.cellular_uplink.modem.upload.result import UploadState

from . import qiniu_server

STARTED = datetime(2026, 2, 3, 4, 5, 6, tzinfo=timezone(timedelta(hours=8)))
ID = "0123456789abcdef0123456789abcdef"
PICTURE = Picture(content=b"\xff\xd8\r\n--x\r\n\x00\x1a" + bytes(range(256)), file_name="door.jpg")


def settings(**changes: Any) -> QiniuSettings:
    plain: dict[str, Any] = {"access_key": "MY_ACCESS_KEY", "secret_key": "MY_SECRET_KEY", "bucket": "my-bucket"}
    return QiniuSettings(**{**plain, **changes})


def destination(settings_: QiniuSettings | None = None, **changes: Any) -> Destination:
    plain: dict[str, Any] = {"url": "http://upload.qiniup.com/", "format": UploadFormat.QINIU}
    return Destination(**{**plain, "qiniu": settings_ or settings(), **changes})


# --- token -------------------------------------------------------------------------------------------------------


def test_token_of_the_published_example() -> None:
    policy = (
        r'{"scope":"my-bucket:sunflower.jpg","deadline":1451491200,"returnBody":"{\"name\":$(fname),\"size\":$(fsize),'
        r'\"w\":$(imageInfo.width),\"h\":$(imageInfo.height),\"hash\":$(etag)}"}'
    )
    access_key, signature, encoded = qiniu.sign(settings(), policy).split(":")
    assert (access_key, signature) == ("MY_ACCESS_KEY", "wQ4ofysef1R7IKnrziqtomqyDvI=")
    assert base64.urlsafe_b64decode(encoded).decode() == policy


def test_token_that_may_overwrite() -> None:
    assert qiniu.upload_token(settings(overwrite=True), "sunflower.jpg", 1451491200) == (
        "MY_ACCESS_KEY:DBQNyXcLE40OV3U9xHEWA-AMlcU=:"
        "eyJzY29wZSI6Im15LWJ1Y2tldDpzdW5mbG93ZXIuanBnIiwiZGVhZGxpbmUiOjE0NTE0OTEyMDB9"
    )


@pytest.mark.parametrize("overwrite", [False, True])
@given(key=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1), deadline=st.integers(0, 2**33))
def test_token_as_the_sdk_makes_it(overwrite: bool, key: str, deadline: int) -> None:
    token = qiniu.upload_token(settings(overwrite=overwrite), key, deadline)
    policy = {"deadline": deadline} if overwrite else {"deadline": deadline, "insertOnly": 1}
    assert token == sdk.Auth("MY_ACCESS_KEY", "MY_SECRET_KEY").upload_token(
        "my-bucket", key, policy=policy, strict_policy=False
    )
    access_key, _, decoded = sdk.Auth.up_token_decode(token)
    assert access_key == "MY_ACCESS_KEY"
    assert decoded == {"scope": f"my-bucket:{key}", **policy}


@pytest.mark.parametrize(
    ("content_bytes", "line_bps", "timeout_s", "expected"),
    [
        (80_000, 115_200, None, 3600 + 69),
        (80_000, None, None, 3600 + 833),
        (20_000_000, 9600, None, 3600 + 208_333),
        (80_000, 115_200, 86_400, 3600 + 86_400),
        (20_000_000, 9600, 60, 3600 + 208_333),
    ],
)
def test_tokens_outlive_a_slow_line(
    content_bytes: int, line_bps: int | None, timeout_s: float | None, expected: int
) -> None:
    assert qiniu.token_lifetime_s(content_bytes, line_bps, timeout_s) == expected


# --- etag, crc32, hosts ------------------------------------------------------------------------------------------

BLOCK = 4 * 1024 * 1024


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "Fto5o-5ea0sNMlW_75VgGJCv2AcJ"),
        (b"hello", "Fqr0xh3cxeii2r7eDztILNmuqUNN"),
        (bytes(BLOCK), "FivMvS848VwT631aif2dhfWV4jvD"),
        (bytes(BLOCK + 1), "lhCFgki5yzon0rjN9uJusf6qtsF6"),
    ],
    ids=["empty", "hello", "4 MiB", "4 MiB + 1"],
)
def test_etag_of_known_files(content: bytes, expected: str) -> None:
    assert qiniu.etag(content) == expected
    assert qiniu_server.etag(content) == expected, "the stand-in hashes by its own code"


@pytest.mark.parametrize("size", [1, 2793, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 7])
def test_etag_as_the_sdk_makes_it(size: int) -> None:
    content = (bytes(range(251)) * (size // 251 + 1))[:size]
    assert qiniu.etag(content) == etag_stream(io.BytesIO(content))


@pytest.mark.parametrize("region", qiniu.REGIONS)
def test_hosts_of_regions(region: str) -> None:
    hosts = [endpoint.host for endpoint in Region.from_region_id(region).services[ServiceName.UP]]
    assert qiniu.region_url(region) == f"https://{hosts[0]}/"
    assert settings(region=region, scheme="http").url == f"http://{hosts[0]}/"


# --- settings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (qiniu.DEFAULT_KEY, f"2026-02-03/040506-{ID}.jpg"),
        ("{year}/{month}/{day}/{file_name}", "2026/02/03/door.jpg"),
        ("door/latest.jpg", "door/latest.jpg"),
        ("摄像头/{upload_id}{upload_id}", f"摄像头/{ID}{ID}"),
    ],
)
def test_keys(template: str, expected: str) -> None:
    chosen = settings(key=template)
    check_destination(destination(chosen))
    assert qiniu.object_key(chosen, file_name="door.jpg", upload_id=ID, started=STARTED) == expected


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"qiniu": None}, "qiniu_access_key"),
        ({"qiniu": settings(access_key="")}, "qiniu_access_key"),
        ({"qiniu": settings(access_key="a:b")}, "qiniu_access_key"),
        ({"qiniu": settings(access_key="a\r\n")}, "qiniu_access_key"),
        ({"qiniu": settings(secret_key="")}, "qiniu_secret_key"),
        ({"qiniu": settings(secret_key="a b")}, "qiniu_secret_key"),
        ({"qiniu": settings(bucket="")}, "qiniu_bucket"),
        ({"qiniu": settings(bucket="a:b")}, "qiniu_bucket"),
        ({"qiniu": settings(region="Z0")}, "qiniu_region"),
        ({"qiniu": settings(region="z0.evil.example/")}, "qiniu_region"),
        ({"qiniu": settings(scheme="ftp")}, "qiniu_scheme"),
        ({"qiniu": settings(key="")}, "qiniu_key"),
        ({"qiniu": settings(key="a\nb")}, "qiniu_key"),
        ({"qiniu": settings(key="a\udc80")}, "qiniu_key"),
        ({"qiniu": settings(key="{camera}.jpg")}, "qiniu_key"),
        ({"qiniu": settings(key="{}.jpg")}, "qiniu_key"),
        ({"qiniu": settings(key="{date.jpg")}, "qiniu_key"),
        ({"fields": {"camera": "door"}}, "fields"),
        ({"fields": {"x:": "door"}}, "fields"),
        ({"fields": {"token": "door"}}, "fields"),
        ({"method": "PUT"}, "method"),
        ({"file_field": "photo"}, "file_field"),
        ({"auth": Auth(method=AuthMethod.BEARER, token="a")}, "auth"),
        ({"headers": {"Content-Type": "multipart/form-data"}}, "headers"),
        ({"url": ""}, "url"),
    ],
)
def test_what_cannot_be_sent_is_named(changes: dict[str, Any], field: str) -> None:
    check_destination(destination())
    with pytest.raises(InputError) as raised:
        check_destination(destination(**changes))
    assert raised.value.field == field
    assert "MY_SECRET_KEY" not in str(raised.value)


def test_keys_too_long_for_a_picture_are_refused() -> None:
    with pytest.raises(InputError) as raised:
        build_request(destination(settings(key="{file_name}" * 4)), Picture(content=b"x", file_name="x" * 200), ID)
    assert raised.value.field == "qiniu_key"
    assert "800 bytes" in raised.value.reason


def test_secrets_are_not_in_representations() -> None:
    request = build_request(destination(), PICTURE, ID)
    assert "MY_SECRET_KEY" not in repr((destination(), request, judge_of(request)))


# --- the form ----------------------------------------------------------------------------------------------------


def form_of(wire: bytes) -> qiniu_server.Form:
    head, _, body = wire.partition(b"\r\n\r\n")
    lines = dict(line.split(": ", 1) for line in head.decode("latin-1").split("\r\n")[1:])
    assert lines["Content-Length"] == str(len(body))
    assert "Transfer-Encoding" not in lines
    return qiniu_server.parse(lines["Content-Type"], body)


def test_form_has_its_fields_in_order_and_the_file_last() -> None:
    chosen = destination(fields={"x:camera": "Tür", "x-qn-meta-site": "north"})
    now = STARTED + timedelta(hours=2)
    wire = serialise(build_request(chosen, PICTURE, ID, started=STARTED, now=now, line_bps=115_200))
    form = form_of(wire)
    assert list(form.fields) == ["token", "key", "x:camera", "x-qn-meta-site", "crc32"]
    assert form.fields["key"] == f"2026-02-03/040506-{ID}.jpg"
    assert form.fields["crc32"] == str(crc32(PICTURE.content))
    assert form.fields["x:camera"] == "Tür"
    assert (form.content, form.file_name, form.content_type) == (PICTURE.content, "door.jpg", "image/jpeg")
    assert sdk.Auth.up_token_decode(form.fields["token"])[2] == {
        "scope": f"my-bucket:{form.fields['key']}",
        "deadline": int(now.timestamp()) + 3600,
        "insertOnly": 1,
    }
    assert wire.startswith(b"POST / HTTP/1.1\r\nHost: upload.qiniup.com\r\n")


def test_attempts_of_one_upload_share_their_key() -> None:
    requests = [
        build_request(destination(), PICTURE, ID, started=STARTED, now=STARTED + timedelta(minutes=minutes))
        for minutes in (0, 5)
    ]
    first, second = (form_of(serialise(request)).fields for request in requests)
    assert first["key"] == second["key"]
    assert first["token"] != second["token"]


def test_times_are_now_where_none_are_given() -> None:
    before = int(datetime.now(UTC).timestamp())
    form = form_of(serialise(build_request(destination(), PICTURE, ID)))
    deadline = sdk.Auth.up_token_decode(form.fields["token"])[2]["deadline"]
    assert 0 <= deadline - before - 3600 < 60
    assert abs(datetime.now().astimezone() - datetime.fromisoformat(form.fields["key"][:10]).astimezone()) < timedelta(
        2
    )


@hypothesis_settings(max_examples=40)
@given(content=st.binary(min_size=1, max_size=2000), value=st.text(st.characters(exclude_categories=["Cs"])))
def test_any_picture_survives(content: bytes, value: str) -> None:
    wire = serialise(build_request(destination(fields={"x:a": value}), Picture(content=content), ID))
    form = form_of(wire)
    assert form.content == content
    assert form.fields["crc32"] == str(crc32(content))


# --- answers -----------------------------------------------------------------------------------------------------

ETAG = qiniu.etag(b"hello")
HEADERS = {"x-reqid": "abc", "Content-Type": "application/json"}


def judged(status: int, body: bytes = b"", headers: dict[str, str] | None = None, *, ours: bool = True) -> Judgement:
    judgement = qiniu.judge(
        status,
        HEADERS if headers is None else headers,
        body,
        expected_etag=ETAG,
        expected_key="a.jpg",
        key_is_ours=ours,
    )
    assert (judgement.error is None) is (judgement.state is UploadState.DELIVERED)
    return judgement


def answer(**told: Any) -> bytes:
    return json.dumps(told).encode()


def test_stored() -> None:
    assert judged(200, answer(hash=ETAG, key="a.jpg")) == Judgement(state=UploadState.DELIVERED)
    assert judged(200, answer(hash=ETAG)) == Judgement(state=UploadState.DELIVERED)


@pytest.mark.parametrize("body", [b"", b'{"hash":"Fqr0xh3', b"[]", b'{"ok":true}', b"\xff"])
def test_stored_without_proof(body: bytes) -> None:
    judgement = judged(200, body)
    assert judgement.state is UploadState.DELIVERED
    assert "without the hash" in judgement.note


@pytest.mark.parametrize("told", [{"hash": qiniu.etag(b"hell"), "key": "a.jpg"}, {"hash": ETAG, "key": "b.jpg"}])
def test_something_else_stored_is_not_repeated(told: dict[str, str]) -> None:
    judgement = judged(200, answer(**told))
    assert (judgement.state, judgement.retry, judgement.may_be_stored) == (UploadState.REJECTED, Retry.NEVER, True)
    assert judgement.error is not None
    assert judgement.error.code == "hash_mismatch"


@pytest.mark.parametrize(
    ("status", "retry"),
    [
        (200, Retry.LATER),
        (302, Retry.LATER),
        (403, Retry.NEVER),
        (502, Retry.LATER),
        (511, Retry.LATER),
        (579, Retry.NEVER),
        (614, Retry.NEVER),
    ],
)
def test_answers_of_somebody_else(status: int, retry: Retry) -> None:
    judgement = judged(status, answer(hash=ETAG, key="a.jpg"), {"Content-Type": "application/json"})
    assert (judgement.state, judgement.retry) == (UploadState.REJECTED, retry)
    assert judgement.error is not None
    assert judgement.error.code == "not_qiniu"


def test_answer_of_which_the_modem_kept_the_status_only() -> None:
    judgement = judged(200, b"", {})
    assert (judgement.state, judgement.retry, judgement.may_be_stored) == (UploadState.FAILED, Retry.LATER, True)
    assert judgement.error is not None
    assert judgement.error.code == "response_lost"


def test_length_is_asked_for_by_the_gateway() -> None:
    judgement = judged(411, b"<html>", {})
    assert (judgement.state, judgement.retry) == (UploadState.REJECTED, Retry.NEVER)
    assert judgement.error is not None
    assert judgement.error.code == "411"
    assert "length" in judgement.error.message


def test_stored_though_the_callback_failed() -> None:
    judgement = judged(579, answer(error="callback failed"))
    assert judgement.state is UploadState.DELIVERED
    assert "stored" in judgement.note


def test_exists() -> None:
    judgement = judged(614)
    assert judgement.state is UploadState.DELIVERED
    assert "earlier attempt" in judgement.note
    judgement = judged(614, ours=False)
    assert (judgement.state, judgement.retry) == (UploadState.REJECTED, Retry.NEVER)


def test_bytes_lost_on_the_way_are_worth_one_repetition() -> None:
    judgement = judged(406)
    assert (judgement.state, judgement.retry, judgement.may_be_stored) == (UploadState.REJECTED, Retry.ONCE, False)


@pytest.mark.parametrize("status", [*range(400, 430), 478, *range(500, 600), 608, 612, 616, 618, 630, 631, 632, 701])
def test_repetitions_as_the_sdk_does_them(status: int) -> None:
    class Response:
        """As much of one of requests' as the SDK reads."""

        url, text = "http://upload.qiniup.com/", "{}"
        headers: dict[str, str] = HEADERS
        status_code = status

        def json(self) -> Any:
            return {}

    if status in {406, 429, 579}:  # where we know better
        return
    judgement = judged(status)
    assert judgement.state is UploadState.REJECTED
    assert (judgement.retry is Retry.LATER) is ResponseInfo(Response()).need_retry()
    assert judgement.may_be_stored is (judgement.retry is Retry.LATER)


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        (401, "bad token", "do not belong together"),
        (401, "token out of date", "the clock of this machine is wrong"),
        (400, "incorrect region, please use up-z1.qiniup.com", "its address is up-z1.qiniup.com"),
        (400, "incorrect region, please use up.evil.example", "another region"),
        (400, "invalid multipart format", "cannot read the form"),
        (631, "no such bucket", "no such bucket"),
        (418, "SENTINEL", "does not take the picture"),
    ],
)
def test_refusals_say_what_to_do_and_quote_nothing(status: int, error: str, said: str) -> None:
    judgement = judged(status, answer(error=error))
    assert judgement.error is not None
    assert judgement.error.code == str(status)
    assert said in judgement.error.message
    assert "evil" not in judgement.error.message
    assert "SENTINEL" not in judgement.error.message


def test_requests_carry_their_judge() -> None:
    request = build_request(destination(), Picture(content=b"hello"), ID, started=STARTED)
    judge = judge_of(request)
    assert judge is not None
    assert judge(200, HEADERS, answer(hash=ETAG, key=f"2026-02-03/040506-{ID}.jpg")).note == ""
    assert judge(614, HEADERS, b"").state is UploadState.DELIVERED
    latest = build_request(destination(settings(key="latest.jpg")), Picture(content=b"hello"), ID)
    judge = judge_of(latest)
    assert judge is not None
    assert judge(614, HEADERS, b"").state is UploadState.REJECTED
    assert judge_of(build_request(Destination(url="http://example.org/"), PICTURE, ID)) is None
