/* What the gateway needs of code and layers on disk: taken apart into a staging folder, tried there,
 * and only then kept under the digest of its content. Everything blocks: call it on crew threads only. */
#pragma once

#include "base/err.h"
#include "core/registry/function.h"
#include "core/registry/layer.h"

struct bundles;

enum stage_result {
        STAGE_DONE,
        STAGE_REFUSED, /* the code or the handler is at fault: the sentence is for the user */
        STAGE_FAILED,  /* we are */
};

struct bundles_ops {
        /* Unpacks `code` (a zip, tar, tar.gz, or a single file) for `function`, whose name and
         * runtime are set; checks its handler, or chooses one where it is "". */
        enum stage_result (*stage)(struct bundles *bundles, struct slice code,
                                   struct function *function, char ret_staging[DIGEST_LENGTH + 1],
                                   struct err *err);
        /* Makes what is staged the code of `function`: sets code_digest and code_bytes. On failure
         * it is still staged. 0, or a negative errno and a sentence. */
        int (*keep)(struct bundles *bundles, const char *staging, struct function *function,
                    struct err *err);
        /* The same for a layer, which is a zip, tar or tar.gz and has no handler. keep_layer() sets
         * digest and bytes. */
        enum stage_result (*stage_layer)(struct bundles *bundles, struct slice code,
                                         char ret_staging[DIGEST_LENGTH + 1], struct err *err);
        int (*keep_layer)(struct bundles *bundles, const char *staging, struct layer *layer,
                          struct err *err);
        /* Makes one tree of 1 to LAYERS_MAX kept layers, later ones over earlier ones, without
         * copying a file, and keeps it. The same list has the same digest; one layer alone has its
         * own. REFUSED: together they are too large, or one is gone. */
        enum stage_result (*merge)(struct bundles *bundles, size_t count,
                                   const char *const *digests, char ret_digest[DIGEST_LENGTH + 1],
                                   struct err *err);
        /* Harmless where it is gone. */
        void (*discard)(struct bundles *bundles, const char *staging);

        /* Collecting, as in git-gc: visits what was last kept before `kept_before_s` (Unix time);
         * what the visitor finds unused is removed, unless somebody has kept it anew since. */
        int (*each)(struct bundles *bundles, uint64_t kept_before_s,
                    bool (*visit)(const char *digest, void *context), void *context,
                    struct err *err);
        int (*remove)(struct bundles *bundles, const char *digest, uint64_t kept_before_s,
                      struct err *err);
};

struct bundles {
        const struct bundles_ops *ops;
};
