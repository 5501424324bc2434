"""Adding and changing destinations."""

from typing import Any

from homeassistant.config_entries import SOURCE_USER, ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers import device_registry as dr, entity_registry as er
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
import trustme

from custom_components.cellular_uplink.const import SUBENTRY_TYPE_DESTINATION
from custom_components.cellular_uplink.modem.routes.plan import RouteName, TlsPlace
from custom_components.cellular_uplink.modem.upload.choices import AS_PLANNED, Choices
from custom_components.cellular_uplink.settings import destination_choices, destination_settings
from tests.conftest import Simulator

from .conftest import delivery_data, destination_data, expect_state, modem_entry, qiniu_data, set_up, state_of

URL = "https://cloud.example/pictures?camera=door"


def form(
    *,
    extras: dict[str, str] | None = None,
    authentication: dict[str, str] | None = None,
    qiniu: dict[str, Any] | None = None,
    tls: dict[str, Any] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    return {
        "name": "Second",
        "url": URL,
        "extras": extras or {},
        "authentication": authentication or {},
        "qiniu": qiniu or {},
        "tls": tls or {},
        **changes,
    }


async def start(hass: HomeAssistant, entry: MockConfigEntry) -> str:
    result = await hass.config_entries.subentries.async_init(
        (entry.entry_id, SUBENTRY_TYPE_DESTINATION), context={"source": SOURCE_USER}
    )
    assert result["type"] is FlowResultType.FORM
    assert result["step_id"] == "user"
    return result["flow_id"]


async def submit(hass: HomeAssistant, flow_id: str, answer: dict[str, Any]) -> Any:
    result = await hass.config_entries.subentries.async_configure(flow_id, answer)
    await hass.async_block_till_done()
    return result


def stored(entry: MockConfigEntry, title: str = "Second") -> dict[str, Any]:
    return next(dict(subentry.data) for subentry in entry.subentries.values() if subentry.title == title)


async def test_adds_a_destination(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    result = await submit(hass, await start(hass, entry), form())
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert stored(entry) == destination_data(URL)
    expect_state(entry, ConfigEntryState.LOADED)

    # It is a device below the modem at once, with an event entity.
    devices = {device.name: device for device in dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id)}
    device = devices["Second"]
    assert device.entry_type is dr.DeviceEntryType.SERVICE
    assert device.via_device_id == devices["Quectel BG96"].id
    assert state_of(hass, "event.second").state == "unknown"

    # And goes without a trace.
    hass.config_entries.async_remove_subentry(entry, str(device.config_subentry_id))
    await hass.async_block_till_done()
    assert dr.async_get(hass).async_get(device.id) is None
    assert er.async_get(hass).async_get("event.second") is None
    expect_state(entry, ConfigEntryState.LOADED)


async def test_stores_all_settings(
    hass: HomeAssistant, entry: MockConfigEntry, certificate_authority: trustme.CA
) -> None:
    ca = certificate_authority.cert_pem.bytes().decode()
    answer = form(
        method="PUT",
        format="json",
        file_field=" image ",
        extras={"fields": "site: north\n\n note : a: b \n", "headers": "X-Station: 7"},
        authentication={"auth": "basic", "username": "me", "password": "secret", "token": "unused"},
        tls={"verify_ssl": True, "ca": f"\n{ca}\n"},
        delivery={
            "route": "modem-http",
            "tls_by": "modem",
            "in_doubt": "stop",
            "check": "get",
            "check_url": " https://cloud.example:443/stored/{upload_id}.jpg ",
            "content_digest": True,
            "chunked": True,
            "pads_body": True,
        },
    )
    await submit(hass, await start(hass, entry), answer)
    assert stored(entry) == destination_data(
        URL,
        method="PUT",
        format="json",
        file_field="image",
        fields={"site": "north", "note": "a: b"},
        headers={"X-Station": "7"},
        auth="basic",
        username="me",
        password="secret",
        ca=ca.strip(),
        delivery={
            "route": "modem-http",
            "tls_by": "modem",
            "in_doubt": "stop",
            "check": "get",
            "check_url": "https://cloud.example:443/stored/{upload_id}.jpg",
            "content_digest": True,
            "chunked": True,
            "pads_body": True,
        },
    )
    choices = destination_choices(stored(entry), destination_settings(stored(entry)))
    assert choices == Choices(
        route=RouteName.MODEM_HTTP,
        tls=TlsPlace.MODEM,
        retry_ambiguous=False,
        check_url="https://cloud.example:443/stored/{upload_id}.jpg",
        check_method="GET",
        check_headers={"X-Station": "7", "Authorization": "Basic bWU6c2VjcmV0"},
        has_content_digest=True,
        allows_chunked=True,
        pads_body=True,
        modem_ca_pem=ca.strip(),
    )
    # Another server is not told who asks.
    elsewhere = {**stored(entry), "delivery": {"check": "head", "check_url": "http://cloud.example/{upload_id}"}}
    assert destination_choices(elsewhere, destination_settings(elsewhere)) == Choices(
        check_url="http://cloud.example/{upload_id}"
    )


async def test_how_to_send_has_defaults(hass: HomeAssistant, simulator: Simulator) -> None:
    """Destinations that were stored before there was a choice, and forms filled in by their former shape, have them."""
    former = {key: value for key, value in destination_data(URL).items() if key != "delivery"}
    entry = await set_up(hass, modem_entry(simulator.port, former))
    expect_state(entry, ConfigEntryState.LOADED)
    assert destination_choices(former, destination_settings(former)) == AS_PLANNED
    assert state_of(hass, "sensor.cloud_encryption").state == "host_verified"
    subentry_id = next(iter(entry.subentries))

    async def shown() -> tuple[str, dict[str, Any]]:
        result = await entry.start_subentry_reconfigure_flow(hass, subentry_id)
        fields = result["data_schema"].schema["delivery"].schema.schema
        return result["flow_id"], {str(key): key.description["suggested_value"] for key in fields}

    assert (await shown())[1] == delivery_data()
    flow_id, _ = await shown()
    # A URL that was asked, and isn't any more, is forgotten.
    chosen = {"in_doubt": "stop", "check": "head", "check_url": "http://cloud.example/{upload_id}"}
    for check in ("head", "none"):
        await submit(hass, flow_id, form(name="Cloud", delivery={**chosen, "check": check}))
        flow_id, values = await shown()
    assert values == delivery_data(in_doubt="stop")
    await submit(hass, flow_id, form(name="Cloud"))
    assert stored(entry, "Cloud") == destination_data(URL, delivery=delivery_data(in_doubt="stop"))


@pytest.mark.parametrize(
    ("changes", "errors"),
    [
        ({"name": " "}, {"name": "invalid_name"}),
        ({"name": "x" * 101}, {"name": "invalid_name"}),
        ({"name": "Cloud"}, {"name": "invalid_name"}),
        ({"url": "ftp://cloud.example"}, {"url": "invalid_url"}),
        ({"url": "cloud.example"}, {"url": "invalid_url"}),
        ({"url": "https://me:secret@cloud.example"}, {"url": "invalid_url"}),
        ({"url": "https://cloud.example/a\r\nX: y"}, {"url": "invalid_url"}),
        ({"file_field": " "}, {"file_field": "invalid_file_field"}),
        ({"extras": {"fields": "no colon"}}, {"extras": "invalid_fields"}),
        ({"extras": {"fields": ": no name"}}, {"extras": "invalid_fields"}),
        ({"extras": {"fields": "a: 1\na: 2"}}, {"extras": "invalid_fields"}),
        ({"format": "raw", "extras": {"fields": "a: 1"}}, {"extras": "invalid_fields"}),
        ({"extras": {"headers": "two words: 1"}}, {"extras": "invalid_headers"}),
        ({"extras": {"headers": "Host: other"}}, {"extras": "invalid_headers"}),
        ({"extras": {"headers": "X-Name: Jürgen"}}, {"extras": "invalid_headers"}),
        ({"authentication": {"auth": "basic"}}, {"authentication": "invalid_username"}),
        ({"authentication": {"auth": "basic", "username": "a:b"}}, {"authentication": "invalid_username"}),
        (
            {"authentication": {"auth": "basic", "username": "a", "password": "b\nc"}},
            {"authentication": "invalid_password"},
        ),
        ({"authentication": {"auth": "bearer"}}, {"authentication": "invalid_token"}),
        ({"tls": {"ca": "not a certificate"}}, {"tls": "invalid_ca"}),
        ({"tls": {"ca": "-----BEGIN PRIVATE KEY-----"}}, {"tls": "invalid_ca"}),
        ({"delivery": {"check": "head"}}, {"delivery": "invalid_check_url"}),
        ({"delivery": {"check_url": "http://cloud.example/{upload_id}"}}, {"delivery": "invalid_check_url"}),
        ({"delivery": {"check": "get", "check_url": "ftp://h/{upload_id}"}}, {"delivery": "invalid_check_url"}),
        ({"delivery": {"check": "get", "check_url": "http://[h/{upload_id}"}}, {"delivery": "invalid_check_url"}),
        ({"delivery": {"check": "get", "check_url": "http://cloud.example/"}}, {"delivery": "invalid_check_url"}),
        ({"delivery": {"route": "modem-http"}}, {"delivery": "invalid_tls_by"}),
    ],
)
async def test_refuses_what_cannot_be_sent(
    hass: HomeAssistant, entry: MockConfigEntry, changes: dict[str, Any], errors: dict[str, str]
) -> None:
    flow_id = await start(hass, entry)
    result = await submit(hass, flow_id, {**form(), **changes})
    assert result["type"] is FlowResultType.FORM
    assert result["errors"] == errors
    assert result["description_placeholders"]["reason"]
    result = await submit(hass, flow_id, form())
    assert result["type"] is FlowResultType.CREATE_ENTRY


QINIU = {"access_key": " MY_ACCESS_KEY", "secret_key": "MY_SECRET_KEY ", "bucket": "my-bucket"}


async def test_adds_qiniu_by_its_region(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    answer = form(
        format="qiniu",
        qiniu={**QINIU, "region": "as0", "key": "{upload_id}", "overwrite": True},
        extras={"fields": " x:camera: front: door\nx-qn-meta-site : north"},
        delivery={"check": "head", "check_url": "no matter", "chunked": True, "tls_by": "modem"},
    )
    del answer["url"]
    await submit(hass, await start(hass, entry), answer)
    assert stored(entry) == {
        **qiniu_data("", region="as0", key="{upload_id}", overwrite=True),
        "fields": {"x:camera": "front: door", "x-qn-meta-site": "north"},
        "delivery": delivery_data(tls_by="modem"),
    }
    assert destination_settings(stored(entry)).url == "https://upload-as0.qiniup.com/"
    expect_state(entry, ConfigEntryState.LOADED)


@pytest.mark.parametrize(
    ("changes", "errors"),
    [
        ({"qiniu": {}}, {"qiniu": "invalid_qiniu_access_key"}),
        ({"qiniu": {**QINIU, "access_key": "a b"}}, {"qiniu": "invalid_qiniu_access_key"}),
        ({"qiniu": {**QINIU, "secret_key": " "}}, {"qiniu": "invalid_qiniu_secret_key"}),
        ({"qiniu": {**QINIU, "bucket": "a:b"}}, {"qiniu": "invalid_qiniu_bucket"}),
        ({"qiniu": {**QINIU, "key": "{camera}"}}, {"qiniu": "invalid_qiniu_key"}),
        ({"qiniu": {**QINIU, "region": "East"}}, {"qiniu": "invalid_qiniu_region"}),
        ({"method": "PUT"}, {"method": "invalid_method"}),
        ({"file_field": "photo"}, {"file_field": "invalid_file_field"}),
        ({"authentication": {"auth": "bearer", "token": "a"}}, {"authentication": "invalid_auth"}),
        ({"extras": {"fields": "camera: door"}}, {"extras": "invalid_fields"}),
        ({"extras": {"headers": "Content-Type: a/b"}}, {"extras": "invalid_headers"}),
        ({"format": "raw", "url": " "}, {"url": "invalid_url"}),
    ],
)
async def test_refuses_what_qiniu_cannot_take(
    hass: HomeAssistant, entry: MockConfigEntry, changes: dict[str, Any], errors: dict[str, str]
) -> None:
    flow_id = await start(hass, entry)
    good = form(format="qiniu", qiniu=QINIU, extras={"fields": "x:camera: door"})
    result = await submit(hass, flow_id, {**good, **changes})
    assert result["errors"] == errors
    assert result["description_placeholders"]["reason"]
    assert (await submit(hass, flow_id, good))["type"] is FlowResultType.CREATE_ENTRY


async def test_changes_qiniu(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    await submit(hass, await start(hass, entry), form(format="qiniu", qiniu=QINIU))
    subentry_id = next(key for key, subentry in entry.subentries.items() if subentry.title == "Second")
    result = await entry.start_subentry_reconfigure_flow(hass, subentry_id)
    section = result["data_schema"].schema["qiniu"].schema.schema
    assert {str(key): (key.description or {}).get("suggested_value") for key in section} == {
        "access_key": "MY_ACCESS_KEY",
        "secret_key": None,
        "bucket": "my-bucket",
        "region": "z0",
        "key": "{date}/{time}-{upload_id}{extension}",
        "overwrite": False,
    }
    # A secret left empty is kept, for the same access key only.
    kept = {"access_key": "MY_ACCESS_KEY", "bucket": "other"}
    await submit(hass, result["flow_id"], form(format="qiniu", qiniu=kept))
    assert stored(entry) == qiniu_data(URL, bucket="other")
    result = await entry.start_subentry_reconfigure_flow(hass, subentry_id)
    result = await submit(hass, result["flow_id"], form(format="qiniu", qiniu={**kept, "access_key": "OTHER"}))
    assert result["errors"] == {"qiniu": "invalid_qiniu_secret_key"}
    # With another format it is forgotten.
    await submit(hass, result["flow_id"], form(qiniu=QINIU))
    assert stored(entry) == destination_data(URL)


async def test_changes_a_destination(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    await submit(
        hass,
        await start(hass, entry),
        form(
            extras={"fields": "a: 1\nb: 2", "headers": "X-A: 1"},
            authentication={"auth": "basic", "username": "me", "password": "secret"},
        ),
    )
    subentry_id = next(key for key, subentry in entry.subentries.items() if subentry.title == "Second")
    result = await entry.start_subentry_reconfigure_flow(hass, subentry_id)
    assert result["step_id"] == "reconfigure"
    schema = result["data_schema"].schema
    extras = {str(key): key.description["suggested_value"] for key in schema["extras"].schema.schema}
    assert extras == {"fields": "a: 1\nb: 2", "headers": "X-A: 1"}
    authentication = schema["authentication"].schema.schema
    assert {str(key): (key.description or {}).get("suggested_value") for key in authentication} == {
        "auth": "basic",
        "username": "me",
        "password": None,
        "token": None,
    }

    # The name may stay; a secret left empty is kept.
    answer = form(url="http://cloud.example", authentication={"auth": "basic", "username": "me"})
    result = await submit(hass, result["flow_id"], answer)
    assert result["reason"] == "reconfigure_successful"
    assert stored(entry) == destination_data("http://cloud.example", auth="basic", username="me", password="secret")

    # Another user name needs its own password, and what is not used is forgotten.
    for auth, expected in (
        ({"auth": "basic", "username": "you"}, {"auth": "basic", "username": "you"}),
        ({"auth": "bearer", "token": "t0ken"}, {"auth": "bearer", "token": "t0ken"}),
        ({"auth": "bearer"}, {"auth": "bearer", "token": "t0ken"}),
        ({"auth": "none"}, {"auth": "none"}),
    ):
        result = await entry.start_subentry_reconfigure_flow(hass, subentry_id)
        await submit(hass, result["flow_id"], form(name="Third", authentication=auth))
        assert stored(entry, "Third") == destination_data(URL, **expected)
    expect_state(entry, ConfigEntryState.LOADED)
    assert any(
        device.name == "Third" for device in dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id)
    )
