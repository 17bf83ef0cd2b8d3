"""The newest engine of ClickHouse (chdb) behind as much of its HTTP interface as dnsterrier speaks.

usage: chdb_server.py PORT FOLDER

Statements in the parameter `query` and the body, joined as ClickHouse joins them; `database`; any setting; gzip; its error
numbers with its status codes. What a request says holds for that request alone. The data is in the folder, so that a
server that was killed and started again has it.
"""

import gzip
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import chdb

# Those that ClickHouse answers otherwise than with 500.
STATUS = {60: 404, 81: 404, 62: 400, 27: 400, 26: 400, 117: 400, 115: 404, 47: 404, 46: 404}
# What is for the server of HTTP, and no setting.
OF_HTTP = {"query", "database", "wait_end_of_query", "buffer_size"}


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        parameters = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        statement = "\n".join(filter(None, [parameters.get("query"), body.decode()]))
        connection = chdb.connect(FOLDER)
        try:
            if "database" in parameters:
                connection.query(f"USE `{parameters['database']}`")
            for name in parameters.keys() - OF_HTTP:
                connection.query(f"SET {name} = '{parameters[name]}'")
            answer = connection.query(statement, "TabSeparated")
            self.say(200, answer.bytes() or b"")
        except Exception as error:
            said = re.match(r"Code: (\d+)\.", str(error))
            self.say(STATUS.get(int(said[1]), 500) if said else 500, f"{error}\n".encode())
        finally:
            connection.close()

    def say(self, status, text):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


PORT, FOLDER = int(sys.argv[1]), sys.argv[2]
# All connections to one folder share an engine for as long as one of them is open.
KEPT = chdb.connect(FOLDER)
ThreadingHTTPServer(("127.0.0.1", PORT), Answer).serve_forever()
