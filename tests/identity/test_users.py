"""Users of Flask-Login, and the ids of the customers that they stand for."""

from __future__ import annotations

import collections.abc as cabc
import typing as t
import uuid as uuidlib

import pytest
import sqlalchemy as sa
from flask_login import AnonymousUserMixin, UserMixin
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from werkzeug.local import LocalProxy

from flask_eventtrack.identity.users import UserId, find_user_id, is_pending

HANDLE = uuidlib.uuid4().hex


class Base(DeclarativeBase):
    pass


class Member(Base, UserMixin):  # type: ignore[misc]
    """Known by another id, as in Flask-Login's manual ("Alternative Tokens")."""

    __tablename__ = "member"
    number: Mapped[int] = mapped_column(primary_key=True)
    alternative_id: Mapped[str]

    def get_id(self) -> str:
        return self.alternative_id


class Tenant(Base, UserMixin):  # type: ignore[misc]
    """With two columns as its key."""

    __tablename__ = "tenant"
    tenant: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    fs_uniquifier: Mapped[str]

    def get_id(self) -> str:
        return self.fs_uniquifier


class Account(Base, UserMixin):  # type: ignore[misc]
    """With a UUID as its key."""

    __tablename__ = "account"
    id: Mapped[uuidlib.UUID] = mapped_column(primary_key=True, default=uuidlib.uuid4)
    fs_uniquifier: Mapped[str]

    def get_id(self) -> str:
        return self.fs_uniquifier


class Document(UserMixin):  # type: ignore[misc]
    """Of a database that SQLAlchemy does not know."""

    def __init__(self, **values: object) -> None:
        self.__dict__.update(values)

    def get_id(self) -> str | None:
        return t.cast("str | None", vars(self).get("own", vars(self).get("fs_uniquifier")))


@pytest.fixture
def db_session() -> cabc.Iterator[Session]:
    engine = sa.create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as db_session:
        yield db_session
    engine.dispose()


def test_handle_stands_for_the_primary_key(db_session: Session) -> None:
    """Whatever the key's name and type; the handle is the former id."""
    key = uuidlib.uuid4()
    users = [
        Member(number=7, alternative_id=HANDLE),
        Tenant(tenant="a:b", number=7, fs_uniquifier=HANDLE),
        Account(id=key, fs_uniquifier=HANDLE),
    ]
    db_session.add_all(users)
    db_session.commit()
    expected = [UserId(each, HANDLE) for each in ("7", "a%3Ab:7", str(key))]
    assert list(map(find_user_id, users)) == expected
    assert find_user_id(LocalProxy(lambda: users[0])) == expected[0]


def test_primary_key_is_known_without_a_query(db_session: Session) -> None:
    """After a commit, too; the handle itself may take one."""
    user = Account(fs_uniquifier=HANDLE)
    db_session.add(user)
    db_session.commit()
    assert user.fs_uniquifier == HANDLE
    db_session.expire(user, ["id"])
    statements: list[str] = []
    sa.event.listen(
        db_session.get_bind(), "before_cursor_execute", lambda *given: statements.append(given[2])
    )
    assert find_user_id(user).former == HANDLE
    assert statements == []


def test_user_without_a_primary_key_is_no_customer_yet(db_session: Session) -> None:
    """Not even by the handle: it would be another person after the commit."""
    user = Member(alternative_id=HANDLE)
    assert find_user_id(user) == UserId()
    assert is_pending(user)
    db_session.add(user)
    db_session.flush()
    assert find_user_id(user) == UserId("1", HANDLE)
    assert not is_pending(user)
    assert find_user_id(Member(number=9, alternative_id=HANDLE)) == UserId("9", HANDLE)


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        (Document(id="64f0c0ffee", fs_uniquifier=HANDLE), UserId("64f0c0ffee", HANDLE)),
        (Document(id=7, fs_uniquifier=HANDLE, own="7"), UserId("7")),
        (Document(id=7, fs_uniquifier="8"), UserId("7")),  # may be another customer's id
        (Document(fs_uniquifier=HANDLE), UserId(HANDLE)),
        (Document(id=b"7", fs_uniquifier=HANDLE), UserId(HANDLE)),
        (Document(id=7, own="ann"), UserId("ann")),
        (Document(id=7, own=7), UserId("7")),
        (Document(id=7, own="None"), UserId()),
        (Document(id=7, own=None), UserId()),
        (AnonymousUserMixin(), UserId()),
    ],
)
def test_ids_of_users_that_are_not_mapped(user: object, expected: UserId) -> None:
    """By their ``id``, if ``get_id()`` is a handle; else by ``get_id()``."""
    assert find_user_id(user) == expected
    assert not is_pending(user)


def test_token_of_flask_user_stands_for_the_primary_key(db_session: Session) -> None:
    """Its ``get_id()`` encrypts the id and the time: each call returns another one."""
    mixin = type("UserMixin", (), {"__module__": "flask_user.user_mixin", "get_id": make_token})

    class Person(Base, mixin):  # type: ignore[misc,valid-type]
        __tablename__ = "person"
        id: Mapped[int] = mapped_column(primary_key=True)

    user = Person()
    assert find_user_id(user) == UserId()
    Base.metadata.create_all(db_session.get_bind())
    db_session.add(user)
    db_session.commit()
    assert user.get_id() != user.get_id()
    assert find_user_id(user) == find_user_id(LocalProxy(lambda: user)) == UserId("1")


def make_token(user: object) -> str:
    return f"gAAAAA{uuidlib.uuid4().hex}"
