/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/kernel/conffiles.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "daemon/kernel/attr.h"
#include "daemon/kernel/directory.h"
#include "daemon/kernel/user.h"
#include "policy/macro.h"

typedef struct Candidate Candidate;
typedef struct Candidates Candidates;
typedef struct Files Files;

/* First comes first. */
static const char *const places[] = { "/etc", "/run", "/usr/lib" };

/* A file that a directory lists. */
struct Candidate {
        char *path;
        const char *name; /* its last part */
        size_t place;
};

struct Candidates {
        Candidate *items;
        size_t n;
};

/* The result as it grows. */
struct Files {
        ConfFile *items;
        size_t n;
};

static void candidates_deinit(Candidates *candidates)
{
        for (size_t i = 0; i < candidates->n; i++)
                free(candidates->items[i].path);
        free(candidates->items);
}

static void conffile_deinit(ConfFile *file)
{
        free(file->path);
        free(file->text);
}

void conffiles_free(ConfFile *files, size_t n_files)
{
        for (size_t i = 0; i < n_files; i++)
                conffile_deinit(&files[i]);
        free(files);
}

static void files_deinit(Files *files)
{
        conffiles_free(files->items, files->n);
}

/* Says that @path cannot be read and why; forwards @error. */
static int fail_read(ConfigError *ret_error, const char *path, int error)
{
        int r;

        if (error == -ENOMEM)
                return error;

        errno = -error;
        r = config_error_set(ret_error, path, 0, "cannot be read: %m");
        return r == -ENOMEM ? r : error;
}

static int path_join(const char *path, const char *separator, const char *rest, char **ret_path)
{
        char *joined;

        if (asprintf(&joined, "%s%s%s", path, separator, rest) < 0)
                return -ENOMEM;

        *ret_path = joined;
        return 0;
}

/* "/etc/…" for people is "etc/…" below the root's fd. */
static const char *below_root(const char *path)
{
        return path + 1;
}

/* A configuration file is text: what stands behind a null byte would be passed over silently. */
static int check_text(const char *path, const char *text, size_t size, ConfigError *ret_error)
{
        const char *end = memchr(text, '\0', size);
        unsigned line = 1;

        if (!end)
                return 0;

        for (const char *p = text; p < end; p++)
                line += *p == '\n';
        return config_error_set(ret_error, path, line, "a null byte: expected text");
}

/* Reads the file known as @path. Returns 1, or 0 for /dev/null: it hides others and is none. */
static int read_file(int dir_fd, const char *relative, const char *path, ConfFile *ret_file,
                     ConfigError *ret_error)
{
        _cleanup_(freep) char *name = NULL, *text = NULL;
        struct stat st;
        size_t size;
        int r;

        if (fstatat(dir_fd, relative, &st, 0) < 0)
                return fail_read(ret_error, path, -errno);
        if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3))
                return 0;
        if (!S_ISREG(st.st_mode)) /* to open a FIFO would block */
                return config_error_set(ret_error, path, 0,
                                        "is not a regular file: expected one, or a link to "
                                        "/dev/null to mask it");

        r = attr_read_all(dir_fd, relative, CONFFILE_BYTES_MAX, &text, &size);
        if (r == -E2BIG)
                return config_error_set(ret_error, path, 0,
                                        "is larger than the %zu bytes that are read",
                                        CONFFILE_BYTES_MAX);
        if (r < 0)
                return fail_read(ret_error, path, r);

        r = check_text(path, text, size, ret_error);
        if (r < 0)
                return r;

        name = strdup(path);
        if (!name)
                return -ENOMEM;

        *ret_file = (ConfFile){ .path = TAKE_PTR(name), .text = TAKE_PTR(text) };
        return 1;
}

static int files_add(Files *files, int root_fd, const char *path, ConfigError *ret_error)
{
        ConfFile *items;
        int r;

        items = reallocarray(files->items, files->n + 1, sizeof(*items));
        if (!items)
                return -ENOMEM;
        files->items = items;

        r = read_file(root_fd, below_root(path), path, &items[files->n], ret_error);
        if (r < 0)
                return r;

        files->n += (size_t)r;
        return 0;
}

/* The main file is the first that exists; a link that points nowhere is a mistake to be told. */
static int files_add_main(Files *files, int root_fd, const char *name, ConfigError *ret_error)
{
        for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
                _cleanup_(freep) char *path = NULL;
                struct stat st;
                int r;

                r = path_join(places[i], "/", name, &path);
                if (r < 0)
                        return r;

                if (fstatat(root_fd, below_root(path), &st, AT_SYMLINK_NOFOLLOW) == 0)
                        return files_add(files, root_fd, path, ret_error);
                if (errno != ENOENT)
                        return fail_read(ret_error, path, -errno);
        }

        return 0;
}

static int candidates_add(Candidates *candidates, const char *directory, const char *name,
                          size_t place)
{
        _cleanup_(freep) char *path = NULL;
        Candidate *items;
        int r;

        r = path_join(directory, "/", name, &path);
        if (r < 0)
                return r;

        items = reallocarray(candidates->items, candidates->n + 1, sizeof(*items));
        if (!items)
                return -ENOMEM;
        candidates->items = items;

        items[candidates->n] = (Candidate){ .path = TAKE_PTR(path), .place = place };
        items[candidates->n].name = items[candidates->n].path + strlen(directory) + 1;
        candidates->n++;
        return 0;
}

static bool is_conf_name(const char *name)
{
        static const char suffix[] = ".conf";
        size_t length = strlen(name);

        return name[0] != '.' && length > strlen(suffix) &&
               strcmp(name + length - strlen(suffix), suffix) == 0;
}

static int candidates_list(Candidates *candidates, int root_fd, const char *path, size_t place,
                           ConfigError *ret_error)
{
        _cleanup_(closedirp) DIR *dir = NULL;
        int r;

        r = directory_open(root_fd, below_root(path), &dir);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return fail_read(ret_error, path, r);

        for (;;) {
                const struct dirent *entry;

                errno = 0;
                entry = readdir(dir);
                if (!entry)
                        return errno == 0 ? 0 : fail_read(ret_error, path, -errno);
                if (!is_conf_name(entry->d_name))
                        continue;

                if (candidates->n >= CONFFILES_MAX)
                        return config_error_set(ret_error, path, 0,
                                                "holds more than the %u files that are read",
                                                CONFFILES_MAX);
                r = candidates_add(candidates, path, entry->d_name, place);
                if (r < 0)
                        return r;
        }
}

/* By file name; of the same name the one that hides the others first. */
static int candidate_compare(const void *a, const void *b)
{
        const Candidate *left = a, *right = b;
        int order = strcmp(left->name, right->name);

        if (order != 0)
                return order;
        return (left->place > right->place) - (left->place < right->place);
}

static int files_add_directory(Files *files, int root_fd, const char *directory,
                               ConfigError *ret_error)
{
        _cleanup_(candidates_deinit) Candidates candidates = {};
        int r;

        for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
                _cleanup_(freep) char *path = NULL;

                r = path_join(places[i], "/", directory, &path);
                if (r < 0)
                        return r;
                r = candidates_list(&candidates, root_fd, path, i, ret_error);
                if (r < 0)
                        return r;
        }

        if (candidates.n > 0)
                qsort(candidates.items, candidates.n, sizeof(*candidates.items), candidate_compare);

        for (size_t i = 0; i < candidates.n; i++) {
                if (i > 0 && strcmp(candidates.items[i].name, candidates.items[i - 1].name) == 0)
                        continue;
                r = files_add(files, root_fd, candidates.items[i].path, ret_error);
                if (r < 0)
                        return r;
        }

        return 0;
}

int conffiles_read(int root_fd, const char *name, ConfFile **ret_files, size_t *ret_n_files,
                   ConfigError *ret_error)
{
        _cleanup_(files_deinit) Files files = {};
        _cleanup_(freep) char *directory = NULL;
        int r;

        r = files_add_main(&files, root_fd, name, ret_error);
        if (r < 0)
                return r;

        r = path_join(name, ".", "d", &directory);
        if (r < 0)
                return r;
        r = files_add_directory(&files, root_fd, directory, ret_error);
        if (r < 0)
                return r;

        *ret_files = TAKE_PTR(files.items);
        *ret_n_files = files.n;
        files.n = 0;
        return 0;
}

int conffiles_read_directory(int root_fd, const char *directory, ConfFile **ret_files,
                             size_t *ret_n_files, ConfigError *ret_error)
{
        _cleanup_(files_deinit) Files files = {};
        int r;

        r = files_add_directory(&files, root_fd, directory, ret_error);
        if (r < 0)
                return r;

        *ret_files = TAKE_PTR(files.items);
        *ret_n_files = files.n;
        files.n = 0;
        return 0;
}

int config_load(int root_fd, Config *ret_config, ConfigError *ret_error)
{
        _cleanup_(config_deinit) Config config = {};
        _cleanup_(files_deinit) Files files = {};
        int r;

        r = conffiles_read(root_fd, "daxtierd/daxtierd.conf", &files.items, &files.n, ret_error);
        if (r < 0)
                return r;

        config_init(&config);
        for (size_t i = 0; i < files.n; i++) {
                r = config_merge(&config, files.items[i].path, files.items[i].text, ret_error);
                if (r < 0)
                        return r;
        }

        r = config_check(&config, ret_error);
        if (r < 0)
                return r;

        *ret_config = config;
        config = (Config){};
        return 0;
}

int rules_load(int root_fd, Rule **ret_rules, size_t *ret_n_rules, ConfigError *ret_error)
{
        _cleanup_(files_deinit) Files files = {};
        Rule *rules;
        int r;

        r = conffiles_read_directory(root_fd, "daxtierd/policy.d", &files.items, &files.n,
                                     ret_error);
        if (r < 0)
                return r;

        rules = calloc(files.n + 1, sizeof(*rules));
        if (!rules)
                return -ENOMEM;

        for (size_t i = 0; i < files.n; i++) {
                r = rule_parse(files.items[i].path, files.items[i].text, &rules[i], ret_error);
                if (r < 0) {
                        rules_free(rules, i);
                        return r;
                }
                /* A user who is yet to be made, or whose server is away, is no error. */
                rules[i].has_uid = rules[i].user && user_find(rules[i].user, &rules[i].uid) >= 0;
        }

        *ret_rules = rules;
        *ret_n_rules = files.n;
        return 0;
}

void rules_free(Rule *rules, size_t n_rules)
{
        for (size_t i = 0; i < n_rules; i++)
                rule_deinit(&rules[i]);
        free(rules);
}

int rule_load(int dir_fd, const char *path, Rule *ret_rule, ConfigError *ret_error)
{
        _cleanup_(conffile_deinit) ConfFile file = {};
        int r;

        r = read_file(dir_fd, path, path, &file, ret_error);
        if (r < 0)
                return r;

        return rule_parse(path, r > 0 ? file.text : "", ret_rule, ret_error);
}
