"""Each file of JSONTestSuite, posted over HTTP: y_ is stored, n_ is refused with the place, i_ as the table says."""

import contextlib
import json

from penstock_process import SOURCE, BlackBoxTest, main, request_on, rows

CORPUS = SOURCE.parent / "shared/corpora/json"

# What RFC 8259 leaves to the implementation. Numbers of any size are kept as they are written, a byte order mark is
# skipped, and items may nest deeply; a text that no Unicode string can be (half a surrogate pair, bytes that are not
# UTF-8, UTF-16) is refused.
ACCEPTED = {
    "i_number_double_huge_neg_exp.json",
    "i_number_huge_exp.json",
    "i_number_neg_int_huge_exp.json",
    "i_number_pos_double_huge_exp.json",
    "i_number_real_neg_overflow.json",
    "i_number_real_pos_overflow.json",
    "i_number_real_underflow.json",
    "i_number_too_big_neg_int.json",
    "i_number_too_big_pos_int.json",
    "i_number_very_big_negative_int.json",
    "i_structure_500_nested_arrays.json",
    "i_structure_UTF-8_BOM_empty_object.json",
}
REFUSED = {
    "i_object_key_lone_2nd_surrogate.json",
    "i_string_1st_surrogate_but_2nd_missing.json",
    "i_string_1st_valid_surrogate_2nd_invalid.json",
    "i_string_UTF-16LE_with_BOM.json",
    "i_string_UTF-8_invalid_sequence.json",
    "i_string_UTF8_surrogate_U+D800.json",
    "i_string_incomplete_surrogate_and_escape_valid.json",
    "i_string_incomplete_surrogate_pair.json",
    "i_string_incomplete_surrogates_escape_valid.json",
    "i_string_invalid_lonely_surrogate.json",
    "i_string_invalid_surrogate.json",
    "i_string_invalid_utf-8.json",
    "i_string_inverted_surrogates_U+1D11E.json",
    "i_string_iso_latin_1.json",
    "i_string_lone_second_surrogate.json",
    "i_string_lone_utf8_continuation_byte.json",
    "i_string_not_in_unicode_range.json",
    "i_string_overlong_sequence_2_bytes.json",
    "i_string_overlong_sequence_6_bytes.json",
    "i_string_overlong_sequence_6_bytes_null.json",
    "i_string_truncated-utf-8.json",
    "i_string_utf16BE_no_BOM.json",
    "i_string_utf16LE_no_BOM.json",
}


class JsonCorpus(BlackBoxTest):
    def post_files(self, prefix):
        """Posts each file; gives (path, status, the answer's JSON)."""
        if not CORPUS.is_dir():
            self.skipTest(f"no corpus at {CORPUS}: NOTHING WAS CHECKED")
        server = self.serve()
        with contextlib.closing(server.connect()) as connection:
            for file in sorted(CORPUS.glob(f"{prefix}_*.json")):
                status, _, body = request_on(connection, "POST", "/v1/items?results=all", file.read_bytes(),
                                             **{"Content-Type": "application/json"})
                yield file, status, json.loads(body)
        self.assertEqual(server.stop(), 0)

    def stored(self, answer):
        """The items that an answer says are stored, as the database has them."""
        ids = [result["id"] for result in answer["results"] if result["status"] == "stored"]
        return [json.loads(text) for item in ids
                for (text,) in rows(self.folder / "penstock.db", "SELECT data FROM processed_data WHERE id = ?", item)]

    def test_valid_json_is_stored_as_it_is(self):
        count = 0
        for file, status, answer in self.post_files("y"):
            count += 1
            with self.subTest(file.name):
                content = json.loads(file.read_bytes())
                self.assertEqual((status, answer.get("rejected")), (200, 0), answer)
                self.assertEqual(self.stored(answer), content if isinstance(content, list) else [content])
        self.assertEqual(count, 95)

    def test_invalid_json_is_refused_with_the_place(self):
        count = 0
        for file, status, answer in self.post_files("n"):
            count += 1
            with self.subTest(file.name):
                if status == 200:  # an array of which an element is bad
                    errors = [result["error"] for result in answer["results"] if result["status"] == "rejected"]
                    self.assertGreater(len(errors), 0, answer)
                    self.assertTrue(all(isinstance(error["offset"], int) for error in errors), answer)
                else:
                    self.assertIn(status, (400, 422))
                    self.assertIsInstance(answer["offset"], int)
        self.assertEqual(count, 188)

    def test_what_json_leaves_open_is_as_documented(self):
        accepted, refused = set(), set()
        for file, status, answer in self.post_files("i"):
            whole = status == 200 and answer["rejected"] == 0
            (accepted if whole else refused).add(file.name)
        self.assertEqual((accepted, refused), (ACCEPTED, REFUSED))


if __name__ == "__main__":
    main()
