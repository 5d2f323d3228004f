"""Log-in with Flask-Login. Flask-EventTrack follows its log-in and log-out signals by itself."""

from __future__ import annotations

from flask_login import LoginManager

from .models import User, db

login_manager = LoginManager()


def load_user(user_id: str) -> User | None:
    """Find the user that the log-in cookie names."""
    return db.session.get(User, int(user_id))


login_manager.user_loader(load_user)
