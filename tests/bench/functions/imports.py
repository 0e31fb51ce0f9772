"""The same answer, from a module that imports what a web client or a small application does."""
import asyncio
import decimal
import email.message
import http.client
import json
import logging
import sqlite3
import ssl
import unittest.mock
import urllib.request
import xml.etree.ElementTree

LIBRARIES = (asyncio, decimal, email.message, http.client, json, logging, sqlite3, ssl, unittest.mock,
             urllib.request, xml.etree.ElementTree)


def handle(event, context):
    return {"statusCode": 200, "headers": {"content-type": "application/json"},
            "body": event["body"]}
