/* What every adapter of the port registry_store promises. Built once with each fixture. */
#include "registry_fixture.h"
#include "registry_story.h"

static struct registry_story story;
static struct user *jo, *al;

/* A registry with two users. */
static void begin(void)
{
        story_init(&story);
        story.store = fixture_open(&story.listener);
        jo = story_user(1);
        al = story_user(2);
        ck_assert_int_eq(story_create_user(&story, jo), STORE_OK);
        ck_assert_int_eq(story_create_user(&story, al), STORE_OK);
}

static void end(void)
{
        story_deinit(&story);
        fixture_remove();
        user_unref(jo);
        user_unref(al);
}

/* Creates and gives the function away. */
static enum store_result create(struct function *function)
{
        enum store_result result = story_create(&story, function);

        function_unref(function);
        return result;
}

static struct function *stored(unsigned number)
{
        struct function *likeness = story_function(number, jo);
        struct function *found = catalog_find_function(story.catalog, slice_of(likeness->id));

        function_unref(likeness);
        return found;
}

TEST(opening_publishes_an_empty_catalog)
{
        story_init(&story);
        story.store = fixture_open(&story.listener);
        ck_assert_uint_eq(story.published, 1);
        ck_assert_uint_eq(catalog_user_count(story.catalog), 0);
        story_deinit(&story);
        fixture_remove();
}
TEST_END

TEST(a_created_user_is_in_the_catalog_before_done_is_called)
{
        begin();
        ck_assert_ptr_eq(catalog_find_user(story.catalog, slice_of(jo->id)), jo);
        ck_assert_ptr_eq(catalog_find_user_by_email(story.catalog, slice_of(al->email)), al);
        ck_assert_uint_eq(catalog_user_count(story.catalog), 2);
        end();
}
TEST_END

TEST(an_address_a_namespace_and_an_id_belong_to_one_user_only)
{
        struct user *copy;

        begin();
        copy = story_user(3);
        strcpy(copy->email, jo->email);
        ck_assert_int_eq(story_create_user(&story, copy), STORE_TAKEN);
        user_unref(copy);
        copy = story_user(3);
        strcpy(copy->name_space, jo->name_space);
        ck_assert_int_eq(story_create_user(&story, copy), STORE_TAKEN);
        user_unref(copy);
        copy = story_user(3);
        strcpy(copy->id, jo->id);
        ck_assert_int_eq(story_create_user(&story, copy), STORE_TAKEN);
        user_unref(copy);
        ck_assert_uint_eq(catalog_user_count(story.catalog), 2);
        end();
}
TEST_END

TEST(what_is_refused_publishes_nothing)
{
        unsigned published;

        begin();
        published = story.published;
        ck_assert_int_eq(story_create_user(&story, jo), STORE_TAKEN);
        ck_assert_int_eq(story_delete(&story, STORE_USER_DELETE, "nobody"), STORE_NOT_FOUND);
        ck_assert_uint_eq(story.published, published);
        end();
}
TEST_END

TEST(a_function_needs_an_owner_and_a_name_that_is_free_in_his_namespace)
{
        struct user *nobody = story_user(9);
        struct function *again;

        begin();
        ck_assert_int_eq(create(story_function(1, nobody)), STORE_NOT_FOUND);
        ck_assert_int_eq(create(story_function(1, jo)), STORE_OK);
        ck_assert_int_eq(create(story_function(1, jo)), STORE_TAKEN);
        again = story_function(2, jo);
        strcpy(again->name, "function-1");
        ck_assert_int_eq(create(function_ref(again)), STORE_TAKEN);
        strcpy(again->owner_id, al->id);
        strcpy(again->owner_name_space, al->name_space);
        ck_assert_int_eq(create(again), STORE_OK);
        ck_assert_ptr_nonnull(catalog_find_function_by_route(story.catalog, slice_of("user-2"),
                                                             slice_of("function-1")));
        user_unref(nobody);
        end();
}
TEST_END

TEST(an_update_needs_the_version_before_it)
{
        struct function *next, *later;

        begin();
        ck_assert_int_eq(create(story_function(1, jo)), STORE_OK);
        next = story_function(1, jo);
        next->version = 2;
        next->memory_bytes = 512ull << 20;
        strcpy(next->name, "renamed");
        ck_assert_int_eq(story_update(&story, next), STORE_OK);
        ck_assert_ptr_eq(stored(1), next);
        ck_assert_int_eq(story_update(&story, next), STORE_CONFLICT);
        later = function_copy(next);
        later->version = 4;
        ck_assert_int_eq(story_update(&story, later), STORE_CONFLICT);
        ck_assert_uint_eq(stored(1)->version, 2);
        strcpy(later->id, "01FN0000000000000000000099");
        ck_assert_int_eq(story_update(&story, later), STORE_NOT_FOUND);
        function_unref(next);
        function_unref(later);
        end();
}
TEST_END

TEST(a_function_cannot_be_renamed_to_a_name_that_is_taken)
{
        struct function *renamed;

        begin();
        ck_assert_int_eq(create(story_function(1, jo)), STORE_OK);
        ck_assert_int_eq(create(story_function(2, jo)), STORE_OK);
        renamed = story_function(2, jo);
        renamed->version = 2;
        strcpy(renamed->name, "function-1");
        ck_assert_int_eq(story_update(&story, renamed), STORE_TAKEN);
        ck_assert_uint_eq(stored(2)->version, 1);
        strcpy(renamed->name, "function-2");
        ck_assert_int_eq(story_update(&story, renamed), STORE_OK);
        function_unref(renamed);
        end();
}
TEST_END

TEST(a_deleted_function_is_gone_and_its_name_is_free)
{
        struct function *other;

        begin();
        ck_assert_int_eq(create(story_function(1, jo)), STORE_OK);
        ck_assert_int_eq(story_delete(&story, STORE_FUNCTION_DELETE, stored(1)->id), STORE_OK);
        ck_assert_ptr_null(stored(1));
        ck_assert_int_eq(story_delete(&story, STORE_FUNCTION_DELETE, "01FN0000000000000000000001"),
                         STORE_NOT_FOUND);
        other = story_function(2, jo);
        strcpy(other->name, "function-1");
        ck_assert_int_eq(create(other), STORE_OK);
        end();
}
TEST_END

TEST(a_deleted_user_takes_his_functions_along_and_nobody_elses)
{
        begin();
        ck_assert_int_eq(create(story_function(1, jo)), STORE_OK);
        ck_assert_int_eq(create(story_function(2, al)), STORE_OK);
        ck_assert_int_eq(create(story_function(3, jo)), STORE_OK);
        ck_assert_int_eq(story_delete(&story, STORE_USER_DELETE, jo->id), STORE_OK);
        ck_assert_ptr_null(stored(1));
        ck_assert_ptr_nonnull(stored(2));
        ck_assert_ptr_null(stored(3));
        ck_assert_int_eq(create(story_function(4, jo)), STORE_NOT_FOUND);
        ck_assert_int_eq(story_create_user(&story, jo), STORE_OK);
        end();
}
TEST_END

/* Publishes and gives the layer away; the catalog's afterwards. */
static struct layer *publish(struct layer *layer)
{
        struct layer *found;

        ck_assert_int_eq(story_publish_layer(&story, layer), STORE_OK);
        found = catalog_find_layer(story.catalog, slice_of(layer->id));
        ck_assert_ptr_eq(found, layer);
        layer_unref(layer);
        return found;
}

TEST(versions_of_a_layer_count_from_one_for_each_owner_and_name)
{
        begin();
        ck_assert_uint_eq(publish(story_layer(1, jo, "tools"))->version, 1);
        ck_assert_uint_eq(publish(story_layer(2, jo, "tools"))->version, 2);
        ck_assert_uint_eq(publish(story_layer(3, jo, "other"))->version, 1);
        ck_assert_uint_eq(publish(story_layer(4, al, "tools"))->version, 1);
        ck_assert_uint_eq(
                catalog_find_layer_by_name(story.catalog, slice_of(jo->id), slice_of("tools"), 0)
                        ->version,
                2);
        end();
}
TEST_END

TEST(the_number_of_a_removed_layer_is_not_given_out_again)
{
        begin();
        (void)publish(story_layer(1, jo, "tools"));
        (void)publish(story_layer(2, jo, "tools"));
        ck_assert_int_eq(story_delete(&story, STORE_LAYER_REMOVE, "01TREE00000000000000000002"),
                         STORE_OK);
        ck_assert_int_eq(story_delete(&story, STORE_LAYER_REMOVE, "01TREE00000000000000000002"),
                         STORE_NOT_FOUND);
        ck_assert_int_eq(story_delete(&story, STORE_LAYER_REMOVE, "01TREE00000000000000000001"),
                         STORE_OK);
        ck_assert_ptr_null(
                catalog_find_layer_by_name(story.catalog, slice_of(jo->id), slice_of("tools"), 0));
        ck_assert_uint_eq(publish(story_layer(3, jo, "tools"))->version, 3);
        end();
}
TEST_END

TEST(a_layer_needs_an_owner_and_an_id_of_its_own)
{
        struct user *nobody = story_user(9);
        struct layer *layer = story_layer(1, nobody, "tools"), *again;

        begin();
        again = story_layer(1, jo, "other");
        ck_assert_int_eq(story_publish_layer(&story, layer), STORE_NOT_FOUND);
        (void)publish(story_layer(1, jo, "tools"));
        ck_assert_int_eq(story_publish_layer(&story, again), STORE_TAKEN);
        ck_assert_uint_eq(catalog_each_layer_of(story.catalog, slice_of(jo->id), NULL, NULL), 1);
        layer_unref(layer);
        layer_unref(again);
        user_unref(nobody);
        end();
}
TEST_END

TEST(a_layer_stays_as_long_as_a_function_has_it)
{
        struct function *function, *next;
        struct layer *layer;

        begin();
        layer = publish(story_layer(1, jo, "tools"));
        function = story_function(1, jo);
        story_use_layer(function, layer);
        ck_assert_int_eq(create(function), STORE_OK);
        ck_assert_int_eq(story_delete(&story, STORE_LAYER_REMOVE, layer->id), STORE_IN_USE);
        ck_assert_ptr_eq(catalog_find_layer(story.catalog, slice_of(layer->id)), layer);
        next = function_copy(stored(1));
        next->version = 2;
        next->layer_count = 0;
        ck_assert_int_eq(story_update(&story, next), STORE_OK);
        ck_assert_int_eq(story_delete(&story, STORE_LAYER_REMOVE, "01TREE00000000000000000001"),
                         STORE_OK);
        function_unref(next);

        layer = publish(story_layer(2, jo, "tools"));
        function = story_function(2, jo);
        story_use_layer(function, layer);
        ck_assert_int_eq(create(function), STORE_OK);
        ck_assert_int_eq(story_delete(&story, STORE_FUNCTION_DELETE, stored(2)->id), STORE_OK);
        ck_assert_int_eq(story_delete(&story, STORE_LAYER_REMOVE, layer->id), STORE_OK);
        end();
}
TEST_END

TEST(a_function_can_have_only_layers_of_its_owners_that_are_there)
{
        struct function *function, *next;
        struct layer *gone;

        begin();
        gone = story_layer(8, jo, "gone");
        function = story_function(1, jo);
        story_use_layer(function, gone);
        ck_assert_int_eq(create(function_ref(function)), STORE_NOT_FOUND);
        function->layer_count = 0;
        ck_assert_int_eq(create(function), STORE_OK);
        next = function_copy(stored(1));
        next->version = 2;
        story_use_layer(next, publish(story_layer(1, al, "tools")));
        ck_assert_int_eq(story_update(&story, next), STORE_NOT_FOUND);
        ck_assert_uint_eq(stored(1)->version, 1);
        ck_assert_uint_eq(stored(1)->layer_count, 0);
        function_unref(next);
        layer_unref(gone);
        end();
}
TEST_END

TEST(a_deleted_user_takes_his_layers_along_even_those_in_use)
{
        struct function *function;

        begin();
        function = story_function(1, jo);
        story_use_layer(function, publish(story_layer(1, jo, "tools")));
        ck_assert_int_eq(create(function), STORE_OK);
        (void)publish(story_layer(2, al, "tools"));
        ck_assert_int_eq(story_delete(&story, STORE_USER_DELETE, jo->id), STORE_OK);
        ck_assert_ptr_null(
                catalog_find_layer(story.catalog, slice_of("01TREE00000000000000000001")));
        ck_assert_ptr_nonnull(
                catalog_find_layer(story.catalog, slice_of("01TREE00000000000000000002")));
        end();
}
TEST_END

TEST(requests_of_one_sender_are_carried_out_in_order)
{
        struct story_call calls[4] = {
                {.request = {.kind = STORE_FUNCTION_CREATE}},
                {.request = {.kind = STORE_FUNCTION_UPDATE}},
                {.request = {.kind = STORE_FUNCTION_DELETE}},
                {.request = {.kind = STORE_FUNCTION_CREATE}},
        };
        struct function *first, *second;

        begin();
        first = story_function(1, jo);
        second = function_copy(first);
        second->version = 2;
        calls[0].request.function = calls[3].request.function = first;
        calls[1].request.function = second;
        strcpy(calls[2].request.id, first->id);
        for (int i = 0; i < 4; i++)
                story_submit(&story, &calls[i]);
        for (int i = 0; i < 4; i++)
                ck_assert_int_eq(story_wait(&story, &calls[i]), STORE_OK);
        ck_assert_ptr_eq(stored(1), first);
        function_unref(first);
        function_unref(second);
        end();
}
TEST_END

enum { SENDERS = 4, EACH = 50 };

static struct story_call calls[SENDERS][EACH];

static void *send_all(void *argument)
{
        struct story_call *mine = argument;

        for (int i = 0; i < EACH; i++)
                registry_store_submit(story.store, &mine[i].request);
        return NULL;
}

TEST(many_senders_at_once_all_get_their_own_answer)
{
        pthread_t senders[SENDERS];

        begin();
        for (unsigned s = 0; s < SENDERS; s++)
                for (unsigned i = 0; i < EACH; i++)
                        calls[s][i].request = (struct store_request){
                                .home = &story.mailbox,
                                .done = story_done,
                                .kind = STORE_FUNCTION_CREATE,
                                .function = story_function(s * EACH + i, s % 2 ? jo : al),
                        };
        /* Two senders want the same name: exactly one may have it. */
        strcpy(calls[0][EACH - 1].request.function->name, "wanted");
        strcpy(calls[2][EACH - 1].request.function->name, "wanted");
        for (int s = 0; s < SENDERS; s++)
                ck_assert_int_eq(pthread_create(&senders[s], NULL, send_all, calls[s]), 0);
        for (int s = 0; s < SENDERS; s++)
                for (int i = 0; i < EACH; i++)
                        if (i < EACH - 1 || s % 2 == 1)
                                ck_assert_int_eq(story_wait(&story, &calls[s][i]), STORE_OK);
        ck_assert_int_eq(story_wait(&story, &calls[0][EACH - 1]) == STORE_OK,
                         story_wait(&story, &calls[2][EACH - 1]) == STORE_TAKEN);
        for (int s = 0; s < SENDERS; s++)
                ck_assert_int_eq(pthread_join(senders[s], NULL), 0);
        ck_assert_uint_eq(
                catalog_each_function_of(story.catalog, slice_of(jo->id), NULL, NULL) +
                        catalog_each_function_of(story.catalog, slice_of(al->id), NULL, NULL),
                SENDERS * EACH - 1);
        for (int s = 0; s < SENDERS; s++)
                for (int i = 0; i < EACH; i++)
                        function_unref(calls[s][i].request.function);
        end();
}
TEST_END

TEST(closing_answers_what_was_submitted)
{
        struct story_call last = {.request = {.kind = STORE_FUNCTION_CREATE}};

        begin();
        last.request.function = story_function(1, jo);
        story_submit(&story, &last);
        story_close_store(&story);
        ck_assert_int_eq(story_wait(&story, &last), STORE_OK);
        function_unref(last.request.function);
        end();
}
TEST_END

TEST_MAIN("registry_store", opening_publishes_an_empty_catalog,
          a_created_user_is_in_the_catalog_before_done_is_called,
          an_address_a_namespace_and_an_id_belong_to_one_user_only,
          what_is_refused_publishes_nothing,
          a_function_needs_an_owner_and_a_name_that_is_free_in_his_namespace,
          an_update_needs_the_version_before_it,
          a_function_cannot_be_renamed_to_a_name_that_is_taken,
          a_deleted_function_is_gone_and_its_name_is_free,
          a_deleted_user_takes_his_functions_along_and_nobody_elses,
          versions_of_a_layer_count_from_one_for_each_owner_and_name,
          the_number_of_a_removed_layer_is_not_given_out_again,
          a_layer_needs_an_owner_and_an_id_of_its_own, a_layer_stays_as_long_as_a_function_has_it,
          a_function_can_have_only_layers_of_its_owners_that_are_there,
          a_deleted_user_takes_his_layers_along_even_those_in_use,
          requests_of_one_sender_are_carried_out_in_order,
          many_senders_at_once_all_get_their_own_answer, closing_answers_what_was_submitted)
