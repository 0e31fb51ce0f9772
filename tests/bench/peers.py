"""What magpie is measured against: nginx in front of nginx, of a Node server, of uWSGI, and of the
server that an image of the benchmark has.

The front and each thing behind it talk over a Unix socket that nginx keeps open (uWSGI's protocol
has no keep-alive: one connection a request, as it is used everywhere); the image's server listens on
TCP, as in its sandbox. Access logs are off.
"""
import contextlib
import os

import pulled
from common import BODY, HERE, child, free_port, wait_for_listener

NGINX_MAIN = """
daemon off; pid {folder}/{name}.pid; error_log {folder}/{name}.log error; worker_processes {workers};
{user}
events {{ worker_connections 8192; }}
http {{
    access_log off; keepalive_requests 100000000; default_type application/json;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    {servers}
}}
"""
PLAIN_UPSTREAM = """
    upstream plain {{ server unix:{folder}/plain.sock; keepalive 1024; keepalive_requests 100000000; }}
"""
FRONT = PLAIN_UPSTREAM + """
    upstream node {{ server unix:{folder}/node.sock; keepalive 1024; keepalive_requests 100000000; }}
    upstream http {{ server 127.0.0.1:{http_port}; keepalive 1024; keepalive_requests 100000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        proxy_http_version 1.1; proxy_set_header Connection "";
        location /plain {{ proxy_pass http://plain; }}
        location /http {{ proxy_pass http://http; }}
        location /node {{ proxy_pass http://node; }}
        location /python {{ include {folder}/uwsgi_params; uwsgi_pass unix:{folder}/python.sock; }}
    }}
"""
BEHIND = """
    server {{ listen unix:{folder}/plain.sock backlog=4096; location / {{ return 200 '{body}'; }} }}
"""
PLAIN_FRONT = PLAIN_UPSTREAM + """
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        proxy_http_version 1.1; proxy_set_header Connection "";
        location /alone {{ return 200 '{body}'; }}
        location / {{ proxy_pass http://plain; }}
    }}
"""
UWSGI_PARAMS = """
uwsgi_param REQUEST_METHOD $request_method; uwsgi_param CONTENT_LENGTH $content_length;
uwsgi_param CONTENT_TYPE $content_type; uwsgi_param REQUEST_URI $request_uri;
uwsgi_param PATH_INFO $document_uri; uwsgi_param QUERY_STRING $query_string;
uwsgi_param SERVER_PROTOCOL $server_protocol; uwsgi_param SERVER_NAME $server_name;
uwsgi_param SERVER_PORT $server_port; uwsgi_param REMOTE_ADDR $remote_addr;
"""


def nginx(stack, folder, name, servers, address, workers):
    settings = {"folder": folder, "name": name, "workers": workers,
                "user": "user root;" if os.geteuid() == 0 else ""}
    config = folder / f"{name}.conf"
    config.write_text(NGINX_MAIN.format(servers=servers, **settings))
    process = stack.enter_context(child("/usr/sbin/nginx", "-p", folder, "-c", config))
    wait_for_listener(process, address)


def plain(stack, folder):
    """name -> URL: nginx in front of another, and by itself, one process each."""
    port = free_port()
    nginx(stack, folder, "behind", BEHIND.format(folder=folder, body=BODY), folder / "plain.sock", 1)
    nginx(stack, folder, "front", PLAIN_FRONT.format(folder=folder, port=port, body=BODY), port, 1)
    return {"nginx -> nginx": f"http://127.0.0.1:{port}/", "nginx alone": f"http://127.0.0.1:{port}/alone"}


@contextlib.contextmanager
def all_peers(folder, workers):
    """Yields name -> URL. `workers`: nginx processes in front and uWSGI processes."""
    port, http_port = free_port(), free_port()
    with contextlib.ExitStack() as stack:
        nginx(stack, folder, "behind", BEHIND.format(folder=folder, body=BODY),
              folder / "plain.sock", 1)
        node = stack.enter_context(child("/usr/bin/node", HERE / "peers/node_server.js",
                                         folder / "node.sock"))
        uwsgi = stack.enter_context(child(
            "/usr/bin/uwsgi", "--plugin", "python3", "--master", "--processes", workers,
            "--uwsgi-socket", folder / "python.sock", "--listen", "4096", "--die-on-term",
            "--disable-logging", "--pythonpath", HERE / "functions",
            "--wsgi-file", HERE / "peers/uwsgi_app.py", "--logto", folder / "uwsgi.log"))
        http = stack.enter_context(child(pulled.build_server(folder),
                                         env={**os.environ, "PORT": str(http_port)}))
        wait_for_listener(http, http_port)
        wait_for_listener(node, folder / "node.sock")
        wait_for_listener(uwsgi, folder / "python.sock")
        (folder / "uwsgi_params").write_text(UWSGI_PARAMS)
        nginx(stack, folder, "front", FRONT.format(folder=folder, port=port, http_port=http_port),
              port, workers)
        yield {name: f"http://127.0.0.1:{port}/{name}" for name in ("plain", "node", "python", "http")}
