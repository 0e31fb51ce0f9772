/* From the names of a function's layers to the tree that it finds at /opt: looked up in the catalog on
 * a gateway thread (layers_resolve()), then made on the crew. */
#pragma once

#include "core/registry/layer.h"
#include "ports/bundles.h"

/* Has somebody named layers, of which no tree is made yet? */
bool function_wants_tree(const struct function *function);
/* Blocks. Makes the tree of the layers with these digests, and sets the function's layers_digest. */
enum stage_result function_make_tree(struct bundles *bundles, struct function *function,
                                     const char digests[LAYERS_MAX][DIGEST_LENGTH + 1],
                                     struct err *err);
/* `function` has the layers of `other` from now on. */
void function_take_layers(struct function *function, const struct function *other);
