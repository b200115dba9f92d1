import os

SECRET_KEY = os.environ["SHOP_SECRET_KEY"]
ALLOWED_HOSTS = os.environ["SHOP_HOSTS"].split(",")
# AWS terminates TLS, and reports that in this header.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"
INSTALLED_APPS = ["django.contrib.sessions", "django_prodserver"]
MIDDLEWARE = ["django.contrib.sessions.middleware.SessionMiddleware"]
# Copies of a function share no disk, so sessions are kept in the visitors' cookies.
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
DATABASES = {}

# For the Web Adapter. Lambda freezes gunicorn between requests, so a silent worker is not killed.
PRODUCTION_PROCESSES = {
    "web": {
        "BACKEND": "gunicorn",
        "ARGS": {"bind": "0.0.0.0:8000", "workers": 1, "timeout": 0},
    },
}
