/* From a manifest to an image on the disk; see disk_parts.h. */
#include "adapters/images/disk_parts.h"

#include "adapters/archive/tree.h"
#include "adapters/images/description.h"
#include "adapters/images/digest.h"
#include "adapters/images/document.h"
#include "adapters/images/root.h"
#include "base/auto.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define IMAGE_FOLDER "image"

struct skopeo fetch_skopeo(const struct fetch *fetch)
{
        const char *registry = fetch->reference.registry;

        return (struct skopeo){
                .folder = fetch->folder_path,
                .is_insecure = image_registry_is_loopback(registry) ||
                               image_registry_is_listed(registry,
                                                        fetch->disk->options.insecure_registries),
                .patience = fetch->patience,
                .file_max = 2 * (uint64_t)DOCUMENT_MAX,
        };
}

static enum image_result configuration_fetch(struct fetch *fetch, struct buffer *text)
{
        const char *wanted = fetch->manifest.configuration.digest;
        char location[IMAGE_LOCATION_SIZE], digest[NAME_SIZE];
        struct skopeo skopeo = fetch_skopeo(fetch);
        enum image_result result;

        image_reference_locate(&fetch->reference, fetch->digest, location);
        result = skopeo_inspect(&skopeo, location, true, text, fetch->err);
        if (result != IMAGE_READY)
                return result;
        if (digest_of(buffer_slice(text), digest) < 0)
                return image_fail(fetch->err, -ENOMEM, "checking the image's configuration");
        if (strcmp(digest, wanted) != 0)
                return image_corrupt(fetch->err,
                                     "the image's configuration is not what its manifest says: its "
                                     "digest is %s, not %s",
                                     digest, wanted);
        return IMAGE_READY;
}

/* Is it one that we may and can run, before the large parts are asked for? */
static enum image_result configuration_check(const struct fetch *fetch,
                                             const struct configuration *configuration)
{
        const struct platform *platform = &configuration->platform, *here = platform_here();
        uint64_t sum = 0;
        char most[24];

        if (!platform_runs_here(platform)) {
                (void)err_set(fetch->err, -ENOEXEC,
                              "the image is not for this machine, %s/%s; it is for %s/%s",
                              here->system, here->architecture, platform->system,
                              platform->architecture);
                return IMAGE_OTHER_PLATFORM;
        }
        if (configuration->layer_count != fetch->manifest.layer_count)
                return image_corrupt(fetch->err,
                                     "the image has %zu layers by its manifest, %zu by its "
                                     "configuration",
                                     fetch->manifest.layer_count, configuration->layer_count);
        for (size_t i = 0; i < fetch->manifest.layer_count; i++)
                sum += fetch->manifest.layers[i].size; /* each below 2^53 */
        if (sum > fetch->disk->options.image_bytes_max) {
                size_format(fetch->disk->options.image_bytes_max, most);
                return image_refuse(fetch->err, "the image has more than %s", most);
        }
        return IMAGE_READY;
}

/* From now on the collector leaves its layers alone. */
static enum image_result progress_begin(struct fetch *fetch,
                                        const struct configuration *configuration)
{
        size_t count = configuration->layer_count;
        struct layer_progress *layers = calloc(count, sizeof(*layers));
        char(*diff_ids)[NAME_SIZE] = calloc(count, sizeof(*diff_ids));

        if (!layers || !diff_ids) {
                free(layers);
                free(diff_ids);
                return image_fail(fetch->err, -ENOMEM, "pulling the image");
        }
        for (size_t i = 0; i < count; i++) {
                memcpy(layers[i].digest, fetch->manifest.layers[i].digest, NAME_SIZE);
                layers[i].size = fetch->manifest.layers[i].size;
                memcpy(diff_ids[i], configuration->diff_ids[i], NAME_SIZE);
        }
        pthread_mutex_lock(&fetch->disk->lock);
        fetch->pull->layers = layers;
        fetch->pull->diff_ids = diff_ids;
        fetch->pull->layer_count = count;
        pthread_mutex_unlock(&fetch->disk->lock);
        return IMAGE_READY;
}

static enum image_result root_make(struct fetch *fetch, const struct configuration *configuration,
                                   int root_fd, struct root_size *size)
{
        enum image_result result = IMAGE_READY;
        struct image *image = NULL;

        for (size_t i = 0; i < configuration->layer_count && result == IMAGE_READY; i++) {
                AUTO(fd_close) int layer_fd = layer_open(fetch->disk, configuration->diff_ids[i]);
                if (layer_fd < 0)
                        return image_fail(fetch->err, layer_fd, "opening a layer");
                result = root_add_layer(root_fd, layer_fd, &fetch->patience, size, fetch->err);
        }
        if (result == IMAGE_READY)
                result = root_add_fixtures(root_fd, fetch->err);
        /* Would it run? Its folder is made, too. */
        if (result == IMAGE_READY)
                result = description_make(configuration, root_fd, &image, fetch->err);
        if (result == IMAGE_READY)
                image_unref(image);
        return result;
}

static int image_publish(struct fetch *fetch)
{
        struct images_disk *disk = fetch->disk;

        if (syncfs(fetch->folder_fd) < 0 ||
            renameat(fetch->folder_fd, IMAGE_FOLDER, disk->images_fd, fetch->digest) < 0 ||
            fsync(disk->images_fd) < 0)
                return -errno;
        return 0;
}

static enum image_result image_make(struct fetch *fetch, const struct configuration *configuration,
                                    struct slice configuration_text, uint64_t layer_bytes)
{
        AUTO(fd_close) int folder = -1, root = -1;
        struct root_size size = {.bytes_max = fetch->disk->options.image_bytes_max};
        enum image_result result;
        int r = disk_folder_make(fetch->folder_fd, IMAGE_FOLDER, &folder);

        pthread_mutex_lock(&fetch->disk->lock);
        fetch->pull->state = PULL_LINKING;
        pthread_mutex_unlock(&fetch->disk->lock);
        if (r == 0)
                r = disk_folder_make(folder, "root", &root);
        if (r < 0)
                return image_fail(fetch->err, r, "making the image's folder");
        result = root_make(fetch, configuration, root, &size);
        if (result != IMAGE_READY)
                return result;
        r = disk_file_write(folder, "configuration.json", configuration_text);
        if (r == 0)
                r = disk_sizes_write(folder, layer_bytes, size.bytes);
        if (r == 0)
                r = image_publish(fetch);
        return r < 0 ? image_fail(fetch->err, r, "keeping the image") : IMAGE_READY;
}

static enum image_result pull_parsed(struct fetch *fetch, struct slice text)
{
        AUTO(configuration_deinit) struct configuration configuration;
        enum image_result result;
        uint64_t layer_bytes = 0;

        if (configuration_parse(text, &configuration, fetch->err) < 0)
                return fetch->err->code == -ENOMEM ? IMAGE_FAILED : IMAGE_REFUSED;
        result = configuration_check(fetch, &configuration);
        if (result == IMAGE_READY)
                result = progress_begin(fetch, &configuration);
        if (result == IMAGE_READY)
                result = layers_bring(fetch, &configuration, &layer_bytes);
        if (result == IMAGE_READY)
                result = image_make(fetch, &configuration, text, layer_bytes);
        return result;
}

enum image_result pull_run(struct fetch *fetch)
{
        AUTO(buffer_deinit) struct buffer text;
        enum image_result result;
        locale_t before;

        buffer_init(&text, DOCUMENT_MAX);
        result = configuration_fetch(fetch, &text);
        if (result != IMAGE_READY)
                return result;
        before = uselocale(fetch->disk->utf8);
        result = pull_parsed(fetch, buffer_slice(&text));
        (void)uselocale(before);
        return result;
}
