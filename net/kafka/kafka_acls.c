/* SPDX-License-Identifier: MIT
 *
 * kafka_acls: DescribeAcls, CreateAcls, DeleteAcls. There is no authorizer, which is what each of
 * them is told, so that tools say it instead of failing at an unknown API; and old clients see from
 * the versions offered what this is.
 */
#include "net/kafka/kafka_priv.h"

static struct slice kafka_acls_why(void)
{
    return slice_str("no authorizer is configured: everybody may do everything");
}

void kafka_describe_acls(struct kafka_call *c)
{
    struct kp_describe_acls_response a = KP_DESCRIBE_ACLS_RESPONSE_INIT;
    ASSERT(c->request != NULL);
    a.error = KAFKA_SECURITY_DISABLED;
    a.error_message = kafka_acls_why();
    kafka_answer(c, &a);
}

void kafka_create_acls(struct kafka_call *c)
{
    const struct kp_create_acls_request *q = c->request;
    struct kp_create_acls_response a = KP_CREATE_ACLS_RESPONSE_INIT;
    int32_t count = q->creations.count;
    struct kp_create_acls_response_result *v = kafka_alloc(c, (size_t)count, sizeof *v);
    if (v == NULL || count > KAFKA_ITEMS_MAX) {
        kafka_refuse(c, "too many ACLs in one request");
        return;
    }
    for (int32_t i = 0; i < count; i++)
        v[i] = (struct kp_create_acls_response_result){KAFKA_SECURITY_DISABLED, kafka_acls_why()};
    a.results.v = v;
    a.results.count = count;
    kafka_answer(c, &a);
}

void kafka_delete_acls(struct kafka_call *c)
{
    const struct kp_delete_acls_request *q = c->request;
    struct kp_delete_acls_response a = KP_DELETE_ACLS_RESPONSE_INIT;
    int32_t count = q->filters.count;
    struct kp_delete_acls_response_result *v = kafka_alloc(c, (size_t)count, sizeof *v);
    if (v == NULL || count > KAFKA_ITEMS_MAX) {
        kafka_refuse(c, "too many ACLs in one request");
        return;
    }
    for (int32_t i = 0; i < count; i++) {
        v[i] = (struct kp_delete_acls_response_result)KP_DELETE_ACLS_RESPONSE_RESULT_INIT;
        v[i].error = KAFKA_SECURITY_DISABLED;
        v[i].error_message = kafka_acls_why();
    }
    a.results.v = v;
    a.results.count = count;
    kafka_answer(c, &a);
}
