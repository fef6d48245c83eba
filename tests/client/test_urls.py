from __future__ import annotations

import pytest

from airflow_provider_moengage.client.datacenters import DATA_CENTERS, data_center_of
from airflow_provider_moengage.client.errors import InvalidInputError
from airflow_provider_moengage.client.urls import base_url_of, check_target, is_loopback, path_segment, query_string


@pytest.mark.parametrize(
    ("value", "base_url"),
    [
        ("https://api-01.moengage.com", "https://api-01.moengage.com"),
        ("https://api-01.moengage.com/", "https://api-01.moengage.com"),
        ("https://proxy.example:8443/moengage/", "https://proxy.example:8443/moengage"),
        ("https://proxy.example/X//", "https://proxy.example/X"),
        ("http://127.0.0.1:8900", "http://127.0.0.1:8900"),
        ("http://localhost:8900/", "http://localhost:8900"),
        ("http://[::1]:8900", "http://[::1]:8900"),
    ],
)
def test_an_address(value, base_url):
    assert base_url_of(value) == base_url


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("api-01.moengage.com", "no http"),
        ("ftp://api-01.moengage.com", "no http"),
        ("https://", "no http"),
        ("https:///v3", "no http"),
        ("https://a b", "no http"),
        ("https://a\nb", "no http"),
        ("https://a\\b", "no http"),
        ("https://a:port", "no address"),
        ("https://[::1", "no address"),
        ("https://user:hunter2@api-01.moengage.com", "must not carry credentials"),
        ("https://api-01.moengage.com?key=hunter2", "before any"),
        ("https://api-01.moengage.com#hunter2", "before any"),
        ("http://api-01.moengage.com", "plain http to api-01.moengage.com"),
        ("http://10.0.0.1", "plain http"),
        ("http://192.168.1.1", "plain http"),
        ("http://0.0.0.0", "plain http"),
        ("http://[::1].evil.example", "no http|no address"),
        ("http://evil.example[::1]", "no http|no address"),
        ("https://*.example", "no http"),
        ("https://.example", "no http"),
        ("https://a..b", "no http"),
        ("https://" + "a" * 64, "no http"),
        ("https://bücher.example", "no http"),
        ("http://localhost.evil.example", "plain http"),
        ("http://127.0.0.1.evil.example", "plain http"),
    ],
)
def test_what_is_no_address(value, sentence):
    with pytest.raises(InvalidInputError, match=sentence) as caught:
        base_url_of(value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (
            "https://W:K@api-01.moengage.com",
            "The host of the connection must not carry credentials: put them into login and password.",
        ),
        (
            "http://api-01.moengage.com",
            (
                "The host of the connection is plain http to api-01.moengage.com, which would show the API key to the "
                "network: use https. Plain http is for a loopback host, such as the sandbox on http://127.0.0.1:8900."
            ),
        ),
    ],
)
def test_the_sentence(value, sentence):
    with pytest.raises(InvalidInputError) as caught:
        base_url_of(value)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (7, "The host of the connection is no text."),
        ("https://a:port", "The host of the connection is no address."),
        ("api-01.moengage.com", "The host of the connection is no http(s) address."),
        ("https://a?b", "The host of the connection must end before any ? or #."),
    ],
)
def test_the_way_out(value, sentence):
    with pytest.raises(InvalidInputError) as caught:
        base_url_of(value)
    assert str(caught.value) == (
        f"{sentence} Give an address such as https://api-01.moengage.com, or leave it out and set data_center."
    )


@pytest.mark.parametrize("host", ["localhost", "LocalHost", "127.0.0.1", "127.255.0.9", "::1"])
def test_this_machine(host):
    assert is_loopback(host) is True


@pytest.mark.parametrize("host", ["", "0.0.0.0", "10.0.0.1", "::", "localhost.example", "127.0.0.1.example"])  # noqa: S104
def test_another_machine(host):
    assert is_loopback(host) is False


@pytest.mark.parametrize(
    ("method", "path", "query"),
    [
        ("GET", "/", ""),
        ("PATCH", "/v2/custom-segments/archive", ""),
        ("GET", "/v3/custom-segments/..%2Fx", "name=camp%20diwali&page=2"),
        ("GET", "/v3/custom-segments", "name=what?"),
    ],
)
def test_a_target(method, path, query):
    assert check_target(method, path, query) is None


METHOD = "method must be an HTTP method in capitals, such as GET."
PATH = "path must begin with a slash and be quoted, such as /v3/custom-segments."
QUERY = "query must be encoded, such as name=camp%20diwali."


@pytest.mark.parametrize(
    ("method", "path", "query", "sentence"),
    [
        *((method, "/v3", "", METHOD) for method in ("", "get", "GET ", "GET\n", "G3T", 7, None)),
        *(
            ("GET", path, "", PATH)
            for path in ("", "v3", "https://a", "/a b", "/a?b", "/a#b", "/a\\b", "/ü", "/a\n", 7, None)
        ),
        *(("GET", "/v3", query, QUERY) for query in ("a b", "a#b", "ü", "a\n", 7, None)),
    ],
)
def test_no_target(method, path, query, sentence):
    with pytest.raises(InvalidInputError) as caught:
        check_target(method, path, query)
    assert str(caught.value) == sentence


def test_what_goes_into_an_address_is_quoted():
    assert path_segment("a/b?c é") == "a%2Fb%3Fc%20%C3%A9"
    assert query_string() == ""
    assert query_string(name="a/b & c+d", page="2") == "name=a%2Fb%20%26%20c%2Bd&page=2"


@pytest.mark.parametrize("value", [".", ".."])
def test_an_id_that_is_another_place(value):
    with pytest.raises(InvalidInputError) as caught:
        path_segment(value)
    assert str(caught.value) == f"segment_id is '{value}', which is no id of a segment."


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("01", "01"),
        ("1", "01"),
        (1, "01"),
        ("DC-01", "01"),
        ("dc 1", "01"),
        (" 06 ", "06"),
        ("101", "101"),
        (101, "101"),
    ],
)
def test_a_data_center(value, number):
    assert data_center_of(value).number == number


@pytest.mark.parametrize("value", ["07", "0", "", "1.0", "x", "1/../..", "01.evil.example", "٠١", True, None, -1])
def test_no_data_center(value):
    with pytest.raises(InvalidInputError, match="Set data_center to one of") as caught:
        data_center_of(value)
    assert all(number in str(caught.value) for number in DATA_CENTERS)


def test_hosts():
    assert data_center_of(2).api_url == "https://api-02.moengage.com"
    assert data_center_of(2).dashboard_url == "https://dashboard-02.moengage.com"


@pytest.mark.parametrize(
    ("address", "right"),
    [
        ("https://dashboard-01.moengage.com", "https://api-01.moengage.com, or leave it out and set data_center to 01"),
        ("https://Dashboard-101.MoEngage.com/v4/#/auth", "https://api-101.moengage.com"),
        ("https://dashboard-01.moengage.com/v4/segments?page=1", "https://api-01.moengage.com"),
        ("http://dashboard-03.moengage.com", "https://api-03.moengage.com"),
        ("https://api-01.moengage.com/v3/custom-segments", "end it before /v3, as in https://api-01.moengage.com"),
        ("https://api-01.moengage.com/v2", "end it before /v2"),
        ("https://api-01.moengage.com/v3/custom-segments?name=x", "end it before /v3"),
    ],
)
def test_an_address_of_moengage_that_is_not_the_apis(address, right):
    with pytest.raises(InvalidInputError, match=f"^The host of the connection .*{right}"):
        base_url_of(address)


def test_a_proxy_may_have_any_path():
    assert base_url_of("https://proxy.example/v3/moengage") == "https://proxy.example/v3/moengage"
    assert base_url_of("https://dashboard-01.moengage.com.proxy.example")
