"""The laboratory behind proxies that serve it below a path, in Chromium."""

import re

import pytest
from dashboards import visitor
from dashboards.proxies import proxied
from dashboards.serving import answer
from dashboards.visitor import button
from playwright.sync_api import expect

PREFIX = "/some/lab"
COMMAND = ["imnn_lab.cli", "serve", "--port", "PORT", "--basic-auth", "a secret"]


@pytest.fixture(params=["stripping", "keeping"])
def proxy(request, serve):
    keeps = request.param == "keeping"
    option = "--prefix" if keeps else "--root-path"
    command = [*COMMAND, option, f"{PREFIX}/", "--use-xheaders"]
    address = serve(command, f"{PREFIX}/login" if keeps else "/login")
    with proxied(address, PREFIX, keeps) as found:
        yield found


def signed_in(page, password):
    page.get_by_label("Name").fill("visitor")
    page.get_by_label("Password").fill(password)
    button(page, "Sign in").click()


def test_a_visitor_signs_in_and_trains_through_a_proxy(proxy, watched_page):
    page, home = watched_page(), f"{proxy.address}{PREFIX}/"
    page.goto(home)
    expect(page).to_have_url(re.compile(re.escape(f"{home}login")))
    signed_in(page, "a guess")
    expect(page.get_by_role("alert")).to_contain_text("Invalid username or password")
    signed_in(page, "a secret")
    expect(page).to_have_url(home)
    visitor.build(page)
    visitor.start(page, iterations=20)
    paths = {cookie["name"]: cookie["path"] for cookie in page.context.cookies()}
    assert paths["user"] == paths["id_token"] == PREFIX
    page.goto(f"{home}logout")
    expect(page).to_have_url(f"{home}login")
    assert {cookie["name"] for cookie in page.context.cookies()}.isdisjoint(["user", "id_token"])
    page.goto(home)
    expect(button(page, "Sign in")).to_be_visible()
    assert proxy.strays == []
    page.context.close()  # before the proxy


def test_a_page_without_its_slash_is_found(serve):
    address = serve([*COMMAND, "--prefix", PREFIX], f"{PREFIX}/login")
    response = answer(address, PREFIX)
    assert (response.status, response.headers["Location"]) == (301, "lab/")
    assert answer(address, f"{PREFIX}/").headers["Location"].startswith("./login?")


@pytest.mark.parametrize("option", [[], ["--use-xheaders"]])
def test_visitors_behind_a_proxy_are_told_apart_if_it_is_believed(serve, option):
    address = serve([*COMMAND, *option], "/login")

    def guesses(n, visitor):
        form = {"Content_Type": "application/x-www-form-urlencoded", "X_Forwarded_For": visitor}
        body = "username=x&password=guess"
        return [answer(address, "/login", "POST", body, **form).headers["Location"]
                for _ in range(n)]  # fmt: skip

    assert any("Too+many" in where for where in guesses(100, "192.0.2.1"))
    others = [guesses(1, f"192.0.2.{i}")[0] for i in range(2, 30)]
    assert any("Too+many" in where for where in others) is (not option)
