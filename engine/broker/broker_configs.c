/* SPDX-License-Identifier: MIT
 *
 * broker_configs: the settings of a topic or of the broker, each with all that speaks for it:
 *
 *   own override of a topic -> steps of the broker (config_steps): dynamic -> at start -> default
 *
 * Overrides need not be a topic's: those of a topic that is to be are shown the same way.
 */
#include "engine/base/assert.h"
#include "engine/broker/broker_priv.h"

const struct config_topic *broker_topic_overrides(const struct broker *b, struct slice topic)
{
    ASSERT(b != NULL);
    const struct topic *t = broker_find_topic(b, topic);
    ASSERT(t == NULL || slice_equal(slice_str(t->name), topic));
    return t == NULL || t->deleting ? NULL : &t->record.configs;
}

static const char *broker_config_value(const struct config *c, const struct config_topic *overrides,
                                       const struct config_row *row, bool *own)
{
    const char *source = "";
    ASSERT(row->topic == (overrides != NULL));
    const char *value = overrides != NULL ? config_topic_text(c, overrides, row, &source)
                                          : config_get(c, row->name, NULL);
    *own = strcmp(source, "topic") == 0;
    ASSERT(value != NULL);
    return config_shown(row, value);
}

static size_t broker_config_steps(const struct config *c, const struct config_row *row,
                                  struct config_step out[CONFIG_STEPS_MAX])
{
    size_t count = config_steps(c, row, out);
    ASSERT(count <= CONFIG_STEPS_MAX);
    for (size_t i = 0; i < count; i++)
        out[i].value = config_shown(row, out[i].value);
    return count;
}

void broker_config_each(const struct broker *b, const struct config_topic *overrides,
                        void (*fn)(void *ctx, const struct broker_config *setting), void *ctx)
{
    size_t count = 0;
    const struct config_row *rows = config_rows(&count);
    ASSERT(fn != NULL && count > 0);
    for (size_t i = 0; i < count; i++) {
        struct config_step steps[CONFIG_STEPS_MAX];
        bool own = false;
        if (rows[i].topic != (overrides != NULL))
            continue;
        const char *value = broker_config_value(b->env.config, overrides, &rows[i], &own);
        struct broker_config setting = {.row = &rows[i],
                                        .value = value,
                                        .own = own ? value : NULL,
                                        .steps = steps,
                                        .step_count =
                                            broker_config_steps(b->env.config, &rows[i], steps)};
        fn(ctx, &setting);
    }
}
