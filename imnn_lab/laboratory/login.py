"""Who may see the laboratory: passwords, and a login that slows down whoever guesses them."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Mapping
from importlib import resources
from urllib.parse import urlencode

import panel as pn
from panel.auth import BasicAuthProvider, BasicLoginHandler
from tornado.web import RequestHandler

FREE = 3  # wrong logins in a row from one address before it has to wait
LONGEST_WAIT = 60.0  # seconds
MOST_ADDRESSES = 10_000
# relative addresses: a proxy may put a prefix before those of this server
HOME, LOGIN = "./", "./login"
WRONG = "Invalid username or password!"


class Attempts:
    """Wrong logins in a row from each address, and how long it has to wait for the next one.

    Parameters
    ----------
    clock : callable
        Seconds, for tests.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wrong: dict[str, tuple[int, float]] = {}

    def wait(self, address: str) -> float:
        """Return the seconds after which an address may try again, 0 for at once."""
        _, until = self._wrong.get(address, (0, 0.0))
        return max(0.0, until - self._clock())

    def wrong(self, address: str) -> None:
        """Count a wrong login: the third one costs a second, each further one twice as much."""
        n, _ = self._wrong.pop(address, (0, 0.0))
        wait = 0.0 if n + 1 < FREE else min(2.0 ** min(n + 1 - FREE, 10), LONGEST_WAIT)
        self._wrong[address] = n + 1, self._clock() + wait
        if len(self._wrong) > MOST_ADDRESSES:  # the oldest goes
            del self._wrong[next(iter(self._wrong))]

    def right(self, address: str) -> None:
        """Forget an address's wrong logins."""
        self._wrong.pop(address, None)


class PasswordLogin(BasicAuthProvider):
    """Lets visitors in who know a password.

    Parameters
    ----------
    secret : str or mapping
        One password for all names, or the password of each name.
    """

    def __init__(self, secret: str | Mapping[str, str]) -> None:
        self.secret, self.attempts = secret, Attempts()
        # a page of our own: Panel's has a picture from a host outside
        page = resources.files("imnn_lab") / "data" / "login.html"
        super().__init__(login_template=str(page))

    def lets_in(self, name: str, password: str) -> bool:
        """Say whether a name and a password are right."""
        known = self.secret if isinstance(self.secret, str) else self.secret.get(name, "")
        return bool(known) and hmac.compare_digest(known.encode(), password.encode())

    @property
    def login_handler(self) -> type[RequestHandler]:
        """What answers at the address of the login."""
        assert issubclass(LoginHandler, super().login_handler)  # which now has the page
        return LoginHandler

    @property
    def logout_handler(self) -> type[RequestHandler]:
        """What answers at the address of the logout."""
        return LogoutHandler


class LoginHandler(BasicLoginHandler):
    """Shows the login and takes what visitors write there."""

    def post(self) -> None:
        """Let a visitor in, or show the login again with the reason."""
        guard, address = self.application.auth_provider, self.request.remote_ip
        wait = guard.attempts.wait(address)
        if wait > 0:
            self._again(f"Too many wrong logins: try again in {max(1, round(wait))} s.")
            return
        name = self.get_argument("username", "")
        if guard.lets_in(name, self.get_argument("password", "", strip=False)):
            guard.attempts.right(address)
            self.set_current_user(name or "visitor")
            self.redirect(HOME)
        else:
            guard.attempts.wrong(address)
            self._again(WRONG)

    def _again(self, reason: str) -> None:
        self.redirect(f"{LOGIN}?{urlencode({'error': reason})}")


class LogoutHandler(RequestHandler):
    """Forgets the visitor, and shows the login."""

    def get(self) -> None:
        """Clear what the login has set."""
        for name in ("user", "id_token"):
            self.clear_cookie(name, path=pn.config.cookie_path)
        self.redirect(LOGIN)
