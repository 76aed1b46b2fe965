//! Scenarios: stories in `tests/scenarios/*.yaml`, told in commits, clusters and time, and played with the real
//! daemon, a real repository and the embedded cluster.

mod format;
mod reading;
mod history;
mod observer;
mod daemon;
mod stage;
mod play;
mod stories;

/// One test for each file, so that each can be asked for by name.
macro_rules! scenarios {
    ($($name:ident: $file:literal,)*) => {
        $(
            #[test]
            fn $name() {
                play::twice($file);
            }
        )*
        const FILES: &[&str] = &[$($file),*];
    };
}

scenarios! {
    a_new_spec_makes_everything_at_once: "s02-create.yaml",
    a_step_that_started_says_how_far_it_is: "s04-started.yaml",
    a_healthy_canary_waits_for_a_person: "s07-hold.yaml",
    steps_without_approvals_follow_each_other_after_their_soak: "s08-soak.yaml",
    a_suspended_release_goes_on_where_it_was: "s10-suspend.yaml",
    a_revert_after_a_failing_pod_takes_the_surplus_away: "s11-cancel.yaml",
    an_update_with_surplus_pods_leaves_none: "s12-update.yaml",
    a_smaller_size_starts_no_rollout: "s13-scale.yaml",
    a_revert_in_the_middle_leaves_proven_pods_alone: "s18-rollback.yaml",
    a_second_release_starts_from_the_proven_one: "s24-superseded.yaml",
    a_killed_daemon_goes_on_and_repeats_nothing: "s29-restart.yaml",
    a_stuck_step_fails_at_its_deadline: "s30-stuck.yaml",
    steps_are_taken_one_by_one_as_far_as_git_permits: "k1-steps.yaml",
    after_a_bad_image_a_good_one_finishes: "k7-bad-then-good.yaml",
    steps_approved_ahead_are_all_walked: "k10-ahead.yaml",
    five_commits_at_once_enter_one_step: "g1-five-commits.yaml",
    markers_for_something_else_change_nothing: "g2-wrong-markers.yaml",
    a_marker_with_its_spec_approves_nothing: "g3-marker-with-spec.yaml",
    a_broken_file_holds_its_own_release_only: "g10-broken-file.yaml",
    a_rewritten_branch_moves_nothing_on: "g11-rewritten.yaml",
    ten_commits_leave_one_rollout: "g12-ten-commits.yaml",
    size_and_template_in_one_commit_go_their_own_ways: "g17-size-and-template.yaml",
    a_size_alone_starts_no_rollout_and_keeps_the_share: "g18-size-only.yaml",
    a_removed_release_goes_and_a_missing_branch_deletes_nothing: "g24-removed.yaml",
    the_status_tells_of_every_step: "s15-get.yaml",
    a_large_removal_waits_for_its_approval: "s19-removal.yaml",
    pods_that_crash_stop_the_rollout: "s25-failing-step.yaml",
    finer_steps_begin_where_the_pods_are: "s27-finer-steps.yaml",
    what_exists_is_left_alone_and_what_is_missing_is_made_again: "s28-exists-or-missing.yaml",
    a_size_changed_by_hand_keeps_the_share: "s35-scaled-by-hand.yaml",
    a_rollout_scaled_in_git_keeps_its_share: "k4-scaled.yaml",
    a_rollout_suspended_in_the_cluster_is_not_touched: "k5-suspended-in-cluster.yaml",
    a_release_left_to_itself_keeps_its_pods: "k6-left-alone.yaml",
    coarser_steps_take_no_pod_back_and_let_none_go: "k8-coarser-steps.yaml",
    an_update_in_place_keeps_every_pod: "k11-in-place.yaml",
    a_withdrawn_approval_stops_and_takes_nothing_back: "g4-withdrawn.yaml",
    approvals_of_an_earlier_try_count_for_nothing: "g5-earlier-try.yaml",
    a_revert_of_a_revert_takes_its_steps: "g6-revert-of-revert.yaml",
    a_revert_of_a_merge_takes_all_of_it_back: "g7-revert-of-merge.yaml",
    a_spec_that_is_moved_or_split_is_the_same_release: "g8-moved-and-split.yaml",
    a_release_in_two_files_stays_where_it_is: "g9-two-files.yaml",
    two_approvals_by_one_person_are_one: "g14-two-approvals.yaml",
    edits_by_hand_are_put_back: "g21-hand-edits.yaml",
    a_size_that_an_autoscaler_owns_is_left_to_it: "g22-autoscaler.yaml",
    a_cloneset_deleted_by_hand_is_made_again: "g23-deleted-by-hand.yaml",
    a_freeze_stops_steps_and_no_rollback: "g25-freeze.yaml",
    lost_memory_and_hand_edits_widen_nothing: "h1-three-versions.yaml",
    other_steps_in_the_middle_widen_nothing: "h2-other-steps.yaml",
    a_deleted_cloneset_comes_back_proven: "h3-deleted.yaml",
    at_zero_nothing_is_tried_or_proven: "h4-zero.yaml",
    two_unproven_releases_never_run_side_by_side: "h5-one-unproven.yaml",
    one_pod_stays_one_pod_however_far_it_is_scaled: "h7-one-pod.yaml",
    a_write_that_comes_too_late_is_refused: "h8-too-late.yaml",
    a_revert_is_fast_and_its_revert_takes_steps: "h9-revert.yaml",
    a_failed_release_stays_failed_until_another_attempt: "h10-failed-stays-failed.yaml",
    a_freeze_gates_a_release_and_its_service: "h11-frozen.yaml",
    a_drained_canary_takes_nothing_back: "h12-drained.yaml",
    an_older_head_permits_nothing: "h13-older-head.yaml",
    while_git_is_away_nothing_goes_on_and_repairs_do: "h14-away.yaml",
    a_cloneset_of_somebody_else_is_not_touched: "h15-adopted.yaml",
    stacked_pull_requests_come_one_after_the_other: "h16-stacked.yaml",
    merges_squashes_and_rebases_carry_approvals_as_they_should: "h16-merges.yaml",
    without_people_two_approvals_cannot_be_counted: "h17-nobody.yaml",
    people_are_counted_once_and_never_the_writer: "h17-people.yaml",
    twelve_equal_digits_approve_nothing: "h18-twelve-digits.yaml",
    a_step_left_over_from_the_last_release_counts_as_one: "h19-left-over-cap.yaml",
    approvals_that_are_withdrawn_stop_and_take_nothing_back: "h20-withdrawn.yaml",
    approvals_given_before_their_step_count_and_are_shown: "h22-given-ahead.yaml",
    small_sizes_round_without_surprise: "h23-rounding.yaml",
    a_first_release_by_steps_is_capped_until_complete: "h24-by-steps.yaml",
    a_rollback_keeps_the_newer_service_and_size: "h25-what-a-rollback-leaves.yaml",
    an_object_in_two_releases_harms_neither: "h26-twice.yaml",
    templates_that_kruise_encodes_anew_hold_a_step: "h27-encoded-anew.yaml",
    a_spec_that_was_broken_begins_its_release_anew: "h28-broken-and-mended.yaml",
    a_marker_rewritten_or_added_again_is_the_old_one: "h29-markers-again.yaml",
    a_proven_release_is_not_taken_back_to_itself: "m1-nothing-below.yaml",
    a_proven_release_never_fails: "m2-proven-unready.yaml",
    the_fix_of_a_bad_first_release_is_tried: "m3-first-is-bad.yaml",
    complete_is_written_once: "m4-complete-once.yaml",
    a_release_made_at_zero_is_proven_when_it_grows: "m5-made-at-zero.yaml",
    a_size_in_the_middle_of_a_step_keeps_the_step: "m6-resized.yaml",
    an_autoscaler_at_zero_fails_nothing: "m7-by-autoscaler.yaml",
    zero_for_longer_than_the_deadline_fails_nothing: "m7-long-at-zero.yaml",
    the_cure_of_a_broken_release_goes_through: "m8-broken-proven.yaml",
    attempts_count_upwards_only: "m9-attempts.yaml",
    a_first_step_that_asks_is_waited_for: "m10-first-step.yaml",
    a_service_edit_opens_no_wider_step: "m11-service-edit.yaml",
    one_replica_keeps_its_old_pod_below_the_last_step: "m12-one-then-five.yaml",
    a_step_edited_in_memory_permits_nothing: "m13-step-edited.yaml",
    new_steps_may_all_lie_ahead: "m14-before-the-steps.yaml",
    a_leader_that_stood_still_goes_nowhere: "m15-old-leader.yaml",
    a_crash_before_memory_brings_no_old_approval_back: "m16-between-two-writes.yaml",
    a_template_edited_by_hand_leaves_no_pods: "m17-edited-by-hand.yaml",
    clocks_begin_and_go_on_as_they_should: "m18-clocks.yaml",
}

/// A partition that is lowered by hand lets more pods go than anybody has approved; nobody is there to repair it.
#[test]
#[should_panic(expected = "1 are approved")]
fn the_observer_notices_pods_that_nobody_has_approved() {
    play::text(
        "says: {}
steps:
- expect: { phase: Healthy }
- commit: { image: B }
- expect: { phase: Paused, step: 1 }
- kill: {}
- cluster: { patch: { spec: { updateStrategy: { partition: 0 } } } }
- advance: 1m
",
    );
}

#[test]
#[should_panic(expected = "pods by image is")]
fn a_scenario_that_is_not_so_fails() {
    play::text("says: {}\nsteps:\n- stays: { for: 1m, images: {} }\n");
}
