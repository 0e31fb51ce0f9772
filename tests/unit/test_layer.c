/* Layers as a user names them, and the catalog in which they are found. */
#include "core/registry/catalog.h"

#include "testing.h"

#include <errno.h>
#include <stdio.h>

static struct layer *layer_of(const char *id, const char *owner, const char *name, uint32_t version)
{
        struct layer *layer = layer_new();

        ck_assert_ptr_nonnull(layer);
        strcpy(layer->id, id);
        strcpy(layer->owner_id, owner);
        strcpy(layer->name, name);
        layer->version = version;
        memset(layer->digest, id[0], DIGEST_LENGTH);
        return layer;
}

/* `catalog` is replaced. */
static void apply(struct catalog **catalog, struct catalog_change change)
{
        struct catalog *next = catalog_with(*catalog, &change, 1);

        ck_assert_ptr_nonnull(next);
        catalog_free(*catalog);
        *catalog = next;
}

/* Gives the layer away. */
static void put(struct catalog **catalog, struct layer *layer)
{
        apply(catalog, (struct catalog_change){.kind = CATALOG_LAYER_PUT, .layer = layer});
        layer_unref(layer);
}

static struct catalog *some(void)
{
        struct catalog *catalog = catalog_new_empty(7);

        put(&catalog, layer_of("a", "1", "tools", 1));
        put(&catalog, layer_of("b", "1", "tools", 12));
        put(&catalog, layer_of("c", "1", "tools", 3));
        put(&catalog, layer_of("d", "2", "tools", 20));
        put(&catalog, layer_of("e", "1", "other", 1));
        return catalog;
}

static const char *found(const struct catalog *catalog, const char *owner, const char *name,
                         uint32_t version)
{
        const struct layer *layer =
                catalog_find_layer_by_name(catalog, slice_of(owner), slice_of(name), version);

        return layer ? layer->id : "none";
}

TEST(a_name_and_a_version_are_read_and_written_alike)
{
        static const char *const texts[] = {"a", "tools", "tools:1", "a-b-2:4294967295"};
        struct layer_reference layer;
        char text[LAYER_TEXT_SIZE];

        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
                ck_assert_int_eq(layer_reference_parse(slice_of(texts[i]), &layer, NULL), 0);
                layer_reference_format(&layer, text);
                ck_assert_str_eq(text, texts[i]);
                ck_assert_str_eq(layer.id, "");
        }
        ck_assert_int_eq(layer_reference_parse(SLICE("x:42"), &layer, NULL), 0);
        ck_assert_str_eq(layer.name, "x");
        ck_assert_uint_eq(layer.version, 42);
}
TEST_END

TEST(what_names_no_layer_is_refused_in_a_sentence_that_shows_it)
{
        static const struct {
                struct slice text;
                const char *shown;
        } cases[] = {
                {SLICE(""), "''"},           {SLICE(":"), "''"},
                {SLICE(":1"), "''"},         {SLICE("x:"), "'x:'"},
                {SLICE("x:0"), "'x:0'"},     {SLICE("x:01"), "'x:01'"},
                {SLICE("x:-1"), "'x:-1'"},   {SLICE("x:1 "), "'x:1 '"},
                {SLICE("x:1:2"), "'x:1:2'"}, {SLICE("X"), "'X'"},
                {SLICE("a/b"), "'a/b'"},     {SLICE("x:4294967296"), "'x:4294967296'"},
                {SLICE("x\0:1"), "'x?'"},    {SLICE("x:99999999999999999999"), "'x:999"},
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct layer_reference layer = {.version = 77};
                struct err err = {0};
                ck_assert_int_eq(layer_reference_parse(cases[i].text, &layer, &err), -EINVAL);
                ck_assert_msg(strstr(err.text, cases[i].shown) != NULL, "%s: %s", cases[i].shown,
                              err.text);
                ck_assert_uint_eq(layer.version, 77);
        }
}
TEST_END

TEST(a_function_has_up_to_five_layers_and_each_name_once)
{
        struct function *function = function_new();
        struct layer_reference layer = {.version = 1};
        struct err err;

        strcpy(function->name, "f");
        for (int i = 0; i < LAYERS_MAX; i++) {
                (void)snprintf(layer.name, sizeof(layer.name), "layer-%d", i);
                ck_assert_int_eq(function_add_layer(function, &layer, &err), 0);
        }
        ck_assert_int_eq(function_validate(function, &err), 0);
        strcpy(layer.name, "sixth");
        ck_assert_int_eq(function_add_layer(function, &layer, &err), -EINVAL);
        ck_assert_str_eq(err.text, "a function has at most 5 layers");
        function->layer_count = 2;
        strcpy(layer.name, "layer-1");
        layer.version = 9;
        ck_assert_int_eq(function_add_layer(function, &layer, &err), -EINVAL);
        ck_assert_str_eq(err.text, "layer 'layer-1' is named twice");
        ck_assert_uint_eq(function->layer_count, 2);
        function_unref(function);
}
TEST_END

TEST(an_image_has_no_layers)
{
        struct function *function = function_new();
        struct layer_reference layer = {.name = "tools"};
        struct err err;

        strcpy(function->name, "f");
        function->runtime = RUNTIME_IMAGE;
        ck_assert_int_eq(function_add_layer(function, &layer, &err), 0);
        ck_assert_int_eq(function_validate(function, &err), -EINVAL);
        ck_assert_ptr_nonnull(strstr(err.text, "layers are for code"));
        function->runtime = RUNTIME_PROVIDED;
        ck_assert_int_eq(function_validate(function, &err), 0);
        function_unref(function);
}
TEST_END

TEST(a_copy_of_a_function_has_its_layers)
{
        struct function *function = function_new(), *copy;
        struct layer_reference layer = {.id = "b", .name = "tools", .version = 3};

        memset(function->layers_digest, 'd', DIGEST_LENGTH);
        ck_assert_int_eq(function_add_layer(function, &layer, NULL), 0);
        copy = function_copy(function);
        function_unref(function);
        ck_assert_uint_eq(copy->layer_count, 1);
        ck_assert_str_eq(copy->layers[0].id, "b");
        ck_assert_str_eq(copy->layers[0].name, "tools");
        ck_assert_uint_eq(copy->layers[0].version, 3);
        ck_assert_uint_eq(strlen(copy->layers_digest), DIGEST_LENGTH);
        function_unref(copy);
}
TEST_END

TEST(a_layer_is_found_by_id_by_version_and_as_the_newest)
{
        struct catalog *catalog = some();

        ck_assert_str_eq(catalog_find_layer(catalog, SLICE("c"))->name, "tools");
        ck_assert_ptr_null(catalog_find_layer(catalog, SLICE("f")));
        ck_assert_str_eq(found(catalog, "1", "tools", 3), "c");
        ck_assert_str_eq(found(catalog, "1", "tools", 0), "b");
        ck_assert_str_eq(found(catalog, "2", "tools", 0), "d");
        ck_assert_str_eq(found(catalog, "1", "tools", 2), "none");
        ck_assert_str_eq(found(catalog, "2", "tools", 1), "none");
        ck_assert_str_eq(found(catalog, "3", "tools", 0), "none");
        ck_assert_uint_eq(catalog_each_layer_of(catalog, SLICE("1"), NULL, NULL), 4);
        catalog_free(catalog);
}
TEST_END

TEST(a_removed_layer_is_gone_and_an_old_catalog_still_shows_it)
{
        struct catalog *before = some(), *after;
        const struct catalog_change change = {.kind = CATALOG_LAYER_REMOVE, .id = "b"};

        after = catalog_with(before, &change, 1);
        ck_assert_str_eq(found(before, "1", "tools", 0), "b");
        ck_assert_str_eq(found(after, "1", "tools", 0), "c");
        catalog_free(before);
        catalog_free(after);
}
TEST_END

TEST(a_removed_user_takes_his_layers_along)
{
        struct catalog *catalog = some();

        apply(&catalog, (struct catalog_change){.kind = CATALOG_USER_REMOVE, .id = "1"});
        ck_assert_uint_eq(catalog_each_layer_of(catalog, SLICE("1"), NULL, NULL), 0);
        ck_assert_uint_eq(catalog_each_layer_of(catalog, SLICE("2"), NULL, NULL), 1);
        catalog_free(catalog);
}
TEST_END

TEST(layers_and_the_trees_of_functions_keep_their_digests_in_use)
{
        struct catalog *catalog = some();
        struct function *function = function_new();
        char digest[DIGEST_LENGTH + 1] = "";

        strcpy(function->id, "f");
        memset(function->layers_digest, '7', DIGEST_LENGTH);
        memset(digest, '7', DIGEST_LENGTH);
        ck_assert(!catalog_uses_digest(catalog, digest));
        apply(&catalog,
              (struct catalog_change){.kind = CATALOG_FUNCTION_PUT, .function = function});
        ck_assert(catalog_uses_digest(catalog, digest));
        memset(digest, 'a', DIGEST_LENGTH);
        ck_assert(catalog_uses_digest(catalog, digest));
        apply(&catalog, (struct catalog_change){.kind = CATALOG_LAYER_REMOVE, .id = "a"});
        ck_assert(!catalog_uses_digest(catalog, digest));
        function_unref(function);
        catalog_free(catalog);
}
TEST_END

TEST(names_are_resolved_to_what_is_there_now)
{
        struct catalog *catalog = some();
        struct function *function = function_new();
        struct layer_reference newest = {.name = "tools"}, first = {.name = "other", .version = 1};
        char digests[LAYERS_MAX][DIGEST_LENGTH + 1];
        struct err err;

        strcpy(function->owner_id, "1");
        ck_assert_int_eq(function_add_layer(function, &newest, &err), 0);
        ck_assert_int_eq(function_add_layer(function, &first, &err), 0);
        ck_assert_int_eq(layers_resolve(catalog, function, digests, &err), 0);
        ck_assert_str_eq(function->layers[0].id, "b");
        ck_assert_uint_eq(function->layers[0].version, 12);
        ck_assert_int_eq(digests[0][0], 'b');
        ck_assert_str_eq(function->layers[1].id, "e");
        ck_assert_uint_eq(strlen(digests[1]), DIGEST_LENGTH);
        ck_assert(function_has_layer(function, catalog_find_layer(catalog, SLICE("e"))));
        ck_assert(!function_has_layer(function, catalog_find_layer(catalog, SLICE("c"))));

        strcpy(function->owner_id, "2");
        ck_assert_int_eq(layers_resolve(catalog, function, digests, &err), -ENOENT);
        ck_assert_str_eq(err.text, "There is no layer 'tools:12'.");
        function_unref(function);
        catalog_free(catalog);
}
TEST_END

TEST_MAIN("layer", a_name_and_a_version_are_read_and_written_alike,
          what_names_no_layer_is_refused_in_a_sentence_that_shows_it,
          a_function_has_up_to_five_layers_and_each_name_once, an_image_has_no_layers,
          a_copy_of_a_function_has_its_layers, a_layer_is_found_by_id_by_version_and_as_the_newest,
          a_removed_layer_is_gone_and_an_old_catalog_still_shows_it,
          a_removed_user_takes_his_layers_along,
          layers_and_the_trees_of_functions_keep_their_digests_in_use,
          names_are_resolved_to_what_is_there_now)
