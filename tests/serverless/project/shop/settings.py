import json
import os

SECRET_KEY = "of the tests"
ALLOWED_HOSTS = ["shop.example"]
ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"
ASGI_APPLICATION = "shop.asgi.application"
INSTALLED_APPS = ["django_prodserver"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
PRODUCTION_PROCESSES = {"web": {"BACKEND": "gunicorn"}}
PRODUCTION_SERVERLESS = json.loads(os.environ.get("SHOP_SERVERLESS", "{}"))
