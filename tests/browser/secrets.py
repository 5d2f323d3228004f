"""Pages with tagged forms that hold secrets."""

from __future__ import annotations

from flask import Flask, render_template_string, request
from markupsafe import Markup

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Secrets</title>
<link rel="icon" href="data:,">{{ eventtrack_snippet() }}
<script>addEventListener("submit", (event) => event.preventDefault(), true)</script></head><body>
{{ body }}</body></html>"""
FORM = """<form data-eventtrack>{}<input name="topic" value="tea" data-eventtrack-field>
<button id="go">Go</button></form>"""
BUTTON = '<button type="button" id="show">Show</button>'
PASSWORD = '<input id="a" name="a" type="password" data-eventtrack-field>'

#: Names of secrets, and names that only sound like one: for the script and for the server.
CALLED = """
    password Password2 new_password newpassword user[password] passwordConfirm passwd pwd
    old-pwd pass userPass passphrase passcode passcodes pass_key passkey pw puk pin PIN user_pin
    newPIN pin2 pincode PINcode cvc cvc2 CVVNumber card-cvc csc ccv otp otp-1 totpCode one_time_code
    oneTimeCode mfa mfa_code 2fa new_2fa smsCode recovery_code login_code auth_code authcode
    backup-code security_code verification_code card_number cardNumber cardnumber card-no card_code
    ccnum cc-exp cc_exp cardExpiry creditCard card[holder] iban userIBAN ssn socialSecurityNumber
    secret clientSecret token csrf_token accesstoken apiKey private_key jwt contraseña
"""
SOUNDING = """
    shipping spinner opinion pinned pinterest compass compassWidth passenger passport bypass author
    authority secretary broken tokenize postcard cardigan cards discard card_color cc cc_recipients
    success access keyboard discount_code promoCode voucher_code zip_code postcode country_code
    product_code error_code code key expiry description topping hotplate cryptopunk display_option
    ssnake libanon tan gift_card cardType session session_length ticket ticket_count
"""

#: name → a form, and the script of its "show" button
SHOWN = {
    "type": (FORM.format(PASSWORD + BUTTON), "a.type = 'text'"),
    "replaced": (
        FORM.format(PASSWORD + BUTTON),
        "a.outerHTML = '<input id=b name=a data-eventtrack-field>'",
    ),
    "style": (
        FORM.format(
            '<input id="a" name="a" style="-webkit-text-security: disc" data-eventtrack-field>'
            + BUTTON
        ),
        "a.style = ''",
    ),
}
#: The same, for what a script does to a field after it was filled.
CHANGED = {
    "renamed": (
        FORM.format(PASSWORD + BUTTON),
        "a.type = 'text'; setTimeout(() => { a.name = 'b' })",
    ),
    "masked": (
        FORM.format('<input id="a" name="a" data-eventtrack-field>' + BUTTON),
        "a.style = '-webkit-text-security: disc'",
    ),
}


def add_secret_pages(app: Flask) -> None:
    """Add ``/shown/<name>`` and ``/shadow/<name>``, where a button shows a password, and
    ``/fields``, whose fields the query names."""

    @app.get("/shown/<name>")
    def shown(name: str) -> str:
        form, script = (SHOWN | CHANGED)[name]
        body = f"{form}<script>show.onclick = () => {{ {script} }}</script>"
        return render_template_string(PAGE, body=Markup(body))

    @app.get("/shadow/<name>")
    def shadow(name: str) -> str:
        form, script = SHOWN[name]
        body = f"""<div id="host"></div><script>
            const root = host.attachShadow({{ mode: "open" }});
            root.innerHTML = `{form}`;
            root.getElementById("show").onclick = () => {{
                const a = root.getElementById("a"); {script} }};
            </script>"""
        return render_template_string(PAGE, body=Markup(body))

    @app.get("/fields")
    def fields() -> str:
        attribute = request.args["attribute"]
        inputs = "".join(
            Markup('<input {}="{}" data-eventtrack-field="f{}" value="hunter2">').format(
                Markup(attribute), value, place
            )
            for place, value in enumerate(request.args.getlist("value"))
        )
        return render_template_string(PAGE, body=Markup(FORM.format(inputs)))
