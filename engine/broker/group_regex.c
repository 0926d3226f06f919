/* SPDX-License-Identifier: MIT
 *
 * group_regex: see group_regex.h.
 */
#include "engine/broker/group_regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>

#include "engine/base/assert.h"

#define GROUP_REGEX_TEXT_MAX  1024
#define GROUP_REGEX_CODE_MAX  (64u << 10) /* bytes of the compiled pattern */
#define GROUP_REGEX_NEST_MAX  50
#define GROUP_REGEX_STEPS_MAX 100000

struct group_regex {
    pcre2_code *code; /* owned, like all of these */
    pcre2_match_data *data;
    pcre2_match_context *limits;
};

static pcre2_code *group_regex_compile(struct slice text)
{
    pcre2_compile_context *c = pcre2_compile_context_create(NULL);
    int error;
    PCRE2_SIZE where, size = 0;
    ASSERT(c != NULL && text.p != NULL);
    ASSERT(text.size > 0);
    (void)pcre2_set_parens_nest_limit(c, GROUP_REGEX_NEST_MAX);
    (void)pcre2_set_max_pattern_length(c, GROUP_REGEX_TEXT_MAX);
    pcre2_code *code = pcre2_compile(text.p, text.size,
                                     PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_NEVER_BACKSLASH_C |
                                         PCRE2_NO_AUTO_CAPTURE,
                                     &error, &where, c);
    pcre2_compile_context_free(c);
    if (code != NULL &&
        (pcre2_pattern_info(code, PCRE2_INFO_SIZE, &size) != 0 || size > GROUP_REGEX_CODE_MAX)) {
        pcre2_code_free(code);
        return NULL;
    }
    return code;
}

int group_regex_new(struct slice text, struct group_regex **out)
{
    ASSERT(out != NULL);
    pcre2_code *code = text.size == 0 ? NULL : group_regex_compile(text);
    if (code == NULL)
        return 1;
    struct group_regex *r = assert_memory(calloc(1, sizeof *r), sizeof *r);
    r->code = code;
    r->data = pcre2_match_data_create(1, NULL);
    r->limits = pcre2_match_context_create(NULL);
    ASSERT(r->data != NULL && r->limits != NULL);
    (void)pcre2_set_match_limit(r->limits, GROUP_REGEX_STEPS_MAX);
    (void)pcre2_set_depth_limit(r->limits, GROUP_REGEX_STEPS_MAX / 100);
    *out = r;
    return 0;
}

bool group_regex_match(const struct group_regex *r, struct slice name)
{
    ASSERT(r != NULL && name.p != NULL);
    ASSERT(r->code != NULL && r->data != NULL && r->limits != NULL);
    return pcre2_match(r->code, name.p, name.size, 0, 0, r->data, r->limits) >= 0;
}

struct group_regex *group_regex_free(struct group_regex *r)
{
    if (r == NULL)
        return NULL;
    ASSERT(r->code != NULL);
    ASSERT(r->data != NULL && r->limits != NULL);
    pcre2_match_data_free(r->data);
    pcre2_match_context_free(r->limits);
    pcre2_code_free(r->code);
    free(r);
    return NULL;
}
