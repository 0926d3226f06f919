/* SPDX-License-Identifier: MIT
 *
 * answer: see answer.h.
 */
#include "proto/answer.h"

static bool answer_produce(const Kauri__ProduceAnswer *p)
{
    for (size_t i = 0; i < p->n_results; i++)
        if (p->results[i]->status == KAURI__STATUS__NOT_LEADER)
            return true;
    return false;
}

static bool answer_fetch(const Kauri__FetchAnswer *f)
{
    for (size_t i = 0; i < f->n_results; i++)
        if (f->results[i]->status == KAURI__STATUS__NOT_LEADER)
            return true;
    return false;
}

static bool answer_offsets(const Kauri__ListOffsetsAnswer *l)
{
    for (size_t i = 0; i < l->n_results; i++)
        if (l->results[i]->status == KAURI__STATUS__NOT_LEADER)
            return true;
    return false;
}

static bool answer_statuses(const Kauri__GroupStatuses *s)
{
    for (size_t i = 0; i < s->n_statuses; i++)
        if (s->statuses[i] == KAURI__STATUS__NOT_LEADER)
            return true;
    return false;
}

bool answer_is_elsewhere(const Kauri__Answer *a)
{
    if (a->answer_case == KAURI__ANSWER__ANSWER_CLUSTER_PROMOTE)
        return false;
    if (a->status == KAURI__STATUS__NOT_LEADER)
        return true;
    if (a->answer_case == KAURI__ANSWER__ANSWER_PRODUCE)
        return answer_produce(a->produce);
    if (a->answer_case == KAURI__ANSWER__ANSWER_FETCH)
        return answer_fetch(a->fetch);
    if (a->answer_case == KAURI__ANSWER__ANSWER_LIST_OFFSETS)
        return answer_offsets(a->list_offsets);
    if (a->answer_case == KAURI__ANSWER__ANSWER_GROUP_COMMIT)
        return answer_statuses(a->group_commit);
    if (a->answer_case == KAURI__ANSWER__ANSWER_GROUP_FORGET)
        return answer_statuses(a->group_forget);
    return false;
}
