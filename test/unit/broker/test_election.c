/* SPDX-License-Identifier: MIT
 *
 * test_election: terms, promises, who is intact, who may go on, and whose log wins.
 */
#include <check.h>

#include "engine/broker/election.h"

START_TEST(terms)
{
    ck_assert_uint_eq(election_next_term(0, 0), 16);
    ck_assert_uint_eq(election_next_term(0, 3), 3);
    ck_assert_uint_eq(election_next_term(3, 3), 19);
    ck_assert_uint_eq(election_next_term(19, 2), 34);
    ck_assert_uint_eq(election_next_term(ELECTION_TERM_MAX - 1, 15), ELECTION_TERM_MAX);
    ck_assert_uint_eq(election_next_term(ELECTION_TERM_MAX, 15), 0);
    ck_assert_int_eq(election_leader_epoch(0, 0), 0);
    ck_assert_int_eq(election_leader_epoch(16, 2), 65538);
    ck_assert_int_eq(election_leader_epoch(ELECTION_TERM_MAX, ELECTION_START_MAX), INT32_MAX);
}
END_TEST

START_TEST(promises)
{
    struct election_promise held = {19, 3, 7};
    struct election_promise same = held, later = {20, 4, 1}, older = {18, 2, 1};
    struct election_promise again = {19, 3, 8}, other = {19, 4, 7};
    ck_assert(election_accepts(&held, &same));
    ck_assert(election_accepts(&held, &later));
    ck_assert(!election_accepts(&held, &older));
    ck_assert(!election_accepts(&held, &again)); /* the candidate started anew */
    ck_assert(!election_accepts(&held, &other));
    ck_assert(election_may_follow(&held, 19) && election_may_follow(&held, 20));
    ck_assert(!election_may_follow(&held, 18));
}
END_TEST

START_TEST(intact)
{
    struct election_standing s = {.named = true, .record_at = {16, 50}};
    ck_assert(election_intact(&s));
    s.lossy = true;
    ck_assert(!election_intact(&s)); /* the record may be from before */
    s.registered = true;
    s.registered_at = (struct election_position){16, 50};
    ck_assert(!election_intact(&s));
    s.record_at.revision = 51;
    ck_assert(election_intact(&s));
    s.named = false;
    ck_assert(!election_intact(&s));
    s.named = true;
    s.record_at = (struct election_position){18, 3};
    ck_assert(election_intact(&s));
    s.record_at.term = 3;
    ck_assert(!election_intact(&s));
}
END_TEST

START_TEST(resume)
{
    struct election_resume r = {.self = 1, .term = 16, .held = {16, 1, 1}};
    replica_ids_add(&r.isr, 1);
    ck_assert(election_may_resume(&r));
    r.lossy = true;
    ck_assert(election_may_resume(&r)); /* nobody knows better */
    replica_ids_add(&r.elr, 2);
    ck_assert(!election_may_resume(&r));
    r.lossy = false;
    ck_assert(election_may_resume(&r));
    r.held.term = 18;
    ck_assert(!election_may_resume(&r));
    r.held.term = 16;
    r.elr.count = 0;
    r.isr.id[0] = 2;
    ck_assert(!election_may_resume(&r)); /* struck out */
}
END_TEST

/* --- votes --- */

static struct election_answer answers[4];
static struct election_case vote;
static struct election_result result;

/* Brokers 1 to 3, of which 1 stands; nobody but 1 has answered. */
static void stand(uint32_t min_insync)
{
    vote = (struct election_case){
        .candidate = 1, .min_insync = min_insync, .answers = answers, .count = 4};
    for (int32_t i = 0; i < 4; i++)
        answers[i] = (struct election_answer){.id = i + 1, .holding.end = -1};
    for (int32_t i = 1; i <= 3; i++)
        replica_ids_add(&vote.replicas, i);
}

static void says(int32_t id, int32_t reached, int64_t end)
{
    answers[id - 1].promised = true;
    answers[id - 1].holding =
        (struct ship_holding){.reached = reached, .end = end, .high_watermark = 5, .intact = true};
}

static enum election_status decide(void)
{
    election_decide(&vote, &result);
    return result.status;
}

START_TEST(quorum)
{
    stand(2);
    says(1, 100, 50);
    ck_assert_int_eq(decide(), ELECTION_SHORT);
    ck_assert_uint_eq(result.promises, 1);
    ck_assert_uint_eq(result.wanted, 2);
    ck_assert_uint_eq(result.unheard.count, 2);
    says(4, 300, 90); /* no replica */
    ck_assert_int_eq(decide(), ELECTION_SHORT);
    says(3, 100, 40);
    ck_assert_int_eq(decide(), ELECTION_WON);
    ck_assert(result.best == 1 && result.end == 50);
    ck_assert(result.isr.count == 1 && result.isr.id[0] == 1);
    ck_assert(result.unheard.count == 1 && result.unheard.id[0] == 2);
    vote.min_insync = 1;
    ck_assert_int_eq(decide(), ELECTION_SHORT);
    vote.min_insync = 9; /* as many as there are replicas */
    answers[2].promised = false;
    ck_assert_int_eq(decide(), ELECTION_WON);
    ck_assert_uint_eq(result.wanted, 1);
}
END_TEST

/* The epoch reached comes first, then the end; among equals the candidate. */
START_TEST(greatest)
{
    stand(2);
    says(1, 100, 50);
    says(2, 101, 40);
    ck_assert_int_eq(decide(), ELECTION_WON);
    ck_assert(result.best == 2 && result.end == 40 && result.reached == 101);
    answers[1].holding.reached = 100;
    answers[1].holding.end = 51;
    ck_assert_int_eq(decide(), ELECTION_WON);
    ck_assert(result.best == 2 && result.end == 51);
    answers[1].holding.end = 50;
    decide();
    ck_assert_int_eq(result.best, 1);
}
END_TEST

/* Who lost records neither counts nor wins; by force it may, and what is lost is told. */
START_TEST(lost)
{
    stand(2);
    says(1, 100, 50);
    says(2, 100, 60);
    answers[1].holding.intact = false;
    ck_assert_int_eq(decide(), ELECTION_SHORT);
    ck_assert(result.best == 2 && result.lost == 0);
    answers[1].holding.high_watermark = 60;
    answers[2].holding.high_watermark = 64; /* told, not promised */
    decide();
    ck_assert_int_eq(result.lost, 4);
    says(3, 100, 40);
    ck_assert_int_eq(decide(), ELECTION_WON);
    ck_assert_int_eq(result.best, 1);
    ck_assert(result.unheard.count == 1 && result.unheard.id[0] == 2);
}
END_TEST

/* A candidate that is no replica, and no replica has promised: there is nothing to lead. */
START_TEST(nobody)
{
    stand(2);
    says(4, 100, 50);
    vote.candidate = 4;
    ck_assert_int_eq(decide(), ELECTION_NOBODY);
    ck_assert_int_eq(result.best, -1);
    ck_assert_uint_eq(result.unheard.count, 3);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("election");
    TCase *tc = tcase_create("election");
    tcase_add_test(tc, terms);
    tcase_add_test(tc, promises);
    tcase_add_test(tc, intact);
    tcase_add_test(tc, resume);
    tcase_add_test(tc, quorum);
    tcase_add_test(tc, greatest);
    tcase_add_test(tc, lost);
    tcase_add_test(tc, nobody);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
