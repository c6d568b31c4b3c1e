#!/usr/bin/env python3
"""What a Python developer writes first: an INSERT for each item, over a pool of 5 to 20 connections.

    bench/peers/python_server.py --port 8081 --mysql-port 3306 --user penstock --password … --database penstock

POST /v1/items takes a JSON object and answers with its id once it is committed. Debian's python3-aiohttp and
python3-aiomysql.
"""
import argparse
import json

import aiomysql
from aiohttp import web

TABLE = """
CREATE TABLE IF NOT EXISTS python_items (
  id BIGINT AUTO_INCREMENT PRIMARY KEY,
  data LONGTEXT NOT NULL,
  created_at DATETIME(6) NOT NULL DEFAULT NOW(6)
) ENGINE = InnoDB
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--mysql-port", type=int, required=True)
    parser.add_argument("--user", required=True)
    parser.add_argument("--password", required=True)
    parser.add_argument("--database", required=True)
    options = parser.parse_args()
    app = web.Application()
    app["options"] = options
    app.cleanup_ctx.append(pool_of)
    app.router.add_post("/v1/items", take)
    web.run_app(app, host="127.0.0.1", port=options.port, access_log=None, print=None)


async def pool_of(app):
    options = app["options"]
    app["pool"] = await aiomysql.create_pool(
        host="127.0.0.1", port=options.mysql_port, user=options.user, password=options.password,
        db=options.database, charset="utf8mb4", autocommit=True, minsize=5, maxsize=20)
    async with app["pool"].acquire() as connection, connection.cursor() as cursor:
        await cursor.execute(TABLE)
    yield
    app["pool"].close()
    await app["pool"].wait_closed()


async def take(request):
    item = await request.json()
    async with request.app["pool"].acquire() as connection, connection.cursor() as cursor:
        await cursor.execute("INSERT INTO python_items (data) VALUES (%s)", (json.dumps(item),))
        return web.json_response({"id": cursor.lastrowid})


if __name__ == "__main__":
    main()
