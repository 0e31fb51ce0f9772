/* Zips, by libarchive: made from files, and looked into; see package.h. */
#include "base/auto.h"
#include "cli/files.h"
#include "cli/package_parts.h"
#include "cli/text.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define COPY_STEP 65536
#define ZIP_ENTRIES_MAX (2 * PACKAGE_FILES_MAX) /* folders are entries, too */

static void reader_free(struct archive **archive)
{
        (void)archive_read_free(*archive);
}

static void writer_free(struct archive **archive)
{
        (void)archive_write_free(*archive);
}

static void entry_free(struct archive_entry **entry)
{
        archive_entry_free(*entry);
}

static int zip_damaged(const struct package *package, struct archive *archive, struct err *err)
{
        const char *why = archive_error_string(archive);
        return err_set(err, -EBADMSG, "'%s' cannot be read as a zip: %s", package->path,
                       why ? why : "it is damaged");
}

static int zip_open(const struct package *package, struct archive *archive, struct err *err)
{
        if (!archive || archive_read_support_format_zip(archive) != ARCHIVE_OK)
                return err_set(err, -ENOMEM, "out of memory");
        if (archive_read_open_filename(archive, package->path, COPY_STEP) != ARCHIVE_OK)
                return zip_damaged(package, archive, err);
        return 0;
}

int zip_list(struct package *package, struct err *err)
{
        AUTO(reader_free) struct archive *archive = archive_read_new();
        struct archive_entry *entry;
        int r = zip_open(package, archive, err), step = ARCHIVE_OK;

        for (size_t entries = 0; r == 0; entries++) {
                step = archive_read_next_header(archive, &entry);
                if (step == ARCHIVE_EOF)
                        return 0;
                if ((step != ARCHIVE_OK && step != ARCHIVE_WARN) || entries > ZIP_ENTRIES_MAX)
                        return zip_damaged(package, archive, err);
                if (archive_entry_filetype(entry) == AE_IFREG && archive_entry_pathname(entry))
                        r = package_add(package, archive_entry_pathname(entry),
                                        (uint64_t)archive_entry_size(entry),
                                        (archive_entry_perm(entry) & 0100) != 0, err);
        }
        return r;
}

int zip_peek(const struct package *package, const struct package_file *file, struct buffer *head,
             struct err *err)
{
        AUTO(reader_free) struct archive *archive = archive_read_new();
        struct archive_entry *entry;
        size_t room = file->size < head->limit - head->length ? (size_t)file->size
                                                              : head->limit - head->length;
        la_ssize_t count;
        int r = zip_open(package, archive, err);

        if (r < 0)
                return r;
        do {
                if (archive_read_next_header(archive, &entry) != ARCHIVE_OK)
                        return zip_damaged(package, archive, err);
        } while (!archive_entry_pathname(entry) ||
                 strcmp(archive_entry_pathname(entry), file->name) != 0);
        if (buffer_reserve(head, room) < 0)
                return err_set(err, -ENOMEM, "out of memory");
        count = archive_read_data(archive, head->data + head->length, room);
        if (count < 0)
                return zip_damaged(package, archive, err);
        head->length += (size_t)count;
        return 0;
}

/* libarchive's callback: the zip's bytes, as they come. */
static la_ssize_t zip_write(struct archive *archive, void *context, const void *data, size_t length)
{
        int r = buffer_append(context, data, length);

        if (r < 0) {
                archive_set_error(archive, r == -ENOBUFS ? EFBIG : ENOMEM, "no room");
                return ARCHIVE_FATAL;
        }
        return (la_ssize_t)length;
}

static int zip_failed(const struct package *package, struct archive *archive,
                      const struct buffer *zip, struct err *err)
{
        if (archive_errno(archive) == EFBIG)
                return err_set(err, -EFBIG,
                               "the code is larger than %zu MiB when packed; leave out what it "
                               "does not need with a .magpieignore",
                               zip->limit >> 20);
        return err_set(err, -EIO, "cannot pack '%s': %s", package->path,
                       archive_error_string(archive));
}

/* The head says how long a file is, so it must not have changed since. */
static int pack_content(const struct package *package, const struct package_file *file,
                        struct archive *archive, const struct buffer *zip, struct err *err)
{
        AUTO(memory_free) char *path = package_file_path(package, file);
        AUTO(memory_free) char *piece = memory_grow(NULL, COPY_STEP, 1);
        AUTO(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
        uint64_t left = file->size;

        if (fd < 0)
                return err_errno(err, -errno, "cannot open '%s'", path);
        for (;;) {
                ssize_t count = read(fd, piece, COPY_STEP);
                if (count < 0 && errno == EINTR)
                        continue;
                if (count < 0)
                        return err_errno(err, -errno, "cannot read '%s'", path);
                if ((uint64_t)count > left || (count == 0 && left > 0))
                        return err_set(err, -EAGAIN, "'%s' changed while it was packed", path);
                if (count == 0)
                        return 0;
                if (archive_write_data(archive, piece, (size_t)count) < 0)
                        return zip_failed(package, archive, zip, err);
                left -= (uint64_t)count;
        }
}

static int pack_file(const struct package *package, const struct package_file *file,
                     struct archive *archive, const struct buffer *zip, struct err *err)
{
        AUTO(entry_free) struct archive_entry *entry = archive_entry_new();

        if (!entry)
                return err_set(err, -ENOMEM, "out of memory");
        /* No owner and no time: they would make two zips of one code differ. */
        archive_entry_set_pathname(entry, file->name);
        archive_entry_set_filetype(entry, AE_IFREG);
        archive_entry_set_perm(entry, file->executable ? 0755 : 0644);
        archive_entry_set_size(entry, (la_int64_t)file->size);
        if (archive_write_header(archive, entry) != ARCHIVE_OK)
                return zip_failed(package, archive, zip, err);
        return pack_content(package, file, archive, zip, err);
}

static int pack_all(const struct package *package, struct buffer *zip, struct err *err)
{
        AUTO(writer_free) struct archive *archive = archive_write_new();
        int r = 0;

        if (!archive || archive_write_set_format_zip(archive) != ARCHIVE_OK)
                return err_set(err, -ENOMEM, "out of memory");
        /* No padding after the end: it is not a tape. */
        (void)archive_write_set_bytes_in_last_block(archive, 1);
        if (archive_write_open(archive, zip, NULL, zip_write, NULL) != ARCHIVE_OK)
                return zip_failed(package, archive, zip, err);
        for (size_t i = 0; i < package->count && r == 0; i++)
                r = pack_file(package, &package->files[i], archive, zip, err);
        if (r == 0 && archive_write_close(archive) != ARCHIVE_OK)
                r = zip_failed(package, archive, zip, err);
        return r;
}

int package_pack(const struct package *package, struct buffer *zip, struct err *err)
{
        if (package->kind == PACKAGE_ZIP)
                return file_read(package->path, zip, err);
        return pack_all(package, zip, err);
}
