"""A policy that forbids inline scripts and styles."""

from __future__ import annotations


def only_our_own_files(get_response):
    def respond(request):
        response = get_response(request)
        response["Content-Security-Policy"] = "default-src 'self'"
        return response

    return respond
