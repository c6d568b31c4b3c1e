"""A table that was there before its stream."""

import json
import re
import subprocess

from penstock_process import PATIENCE, BlackBoxTest, main

STREAM = """
[[stream]]
name = "orders"
columns = [{name = "count", type = "integer"}, {name = "paid", type = "boolean"}]
"""


class ExistingTable(BlackBoxTest):
    def test_whole_numbers_in_a_tinyint_of_mariadb_come_back_as_numbers(self):
        url = self.start_database("mariadb")
        port = re.search(r":(\d+)/", url).group(1)
        table = "CREATE TABLE orders(id BIGINT AUTO_INCREMENT PRIMARY KEY, count TINYINT(1), paid TINYINT(1))"
        subprocess.run(["mariadb", "--no-defaults", "--host=127.0.0.1", f"--port={port}", "--user=penstock",
                        "--password=only for tests", "penstock", f"--execute={table}"], check=True, timeout=PATIENCE)
        config = self.folder / "penstock.toml"
        config.write_text(STREAM)
        server = self.serve("--store", url, "--config", str(config))
        items = [{"count": 1, "paid": True}, {"count": 0, "paid": False}, {"count": 7, "paid": None}]
        status, answer = server.post(items, path="/v1/orders")
        self.assertEqual((status, answer["stored"]), (200, 3), answer)
        _, _, body = server.request("GET", "/v1/orders")
        found = [{name: item[name] for name in ("count", "paid")} for item in json.loads(body)["items"]]
        self.assertEqual(json.dumps(found), json.dumps(items))
        self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    main()
