"""The tests that an Engine cannot pass, each with the reason: it lacks what they ask of it."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache

import pytest

from scripts import engines
from tests.support import needs

_OTHER_ROOT = "it runs in another root, which lacks the Python of the tests"
_NEEDS_THIS_PYTHON = ("test_inside_of_the_supervisors_own_container",)

ALL = "*"
"""All tests of a file."""

# For each Engine and reason: the file, and in it the tests. With its `[…]` a name is one case of
# several, and without it all of them.
EXCLUDED: Mapping[str, Mapping[str, Mapping[str, Sequence[str]]]] = {
    "swarm": {
        "its node is in a network of its own, without packages for images and without a backend": {
            "tests/e2e/test_callback.py": (ALL,),
            "tests/e2e/test_worker_traces.py": (ALL,),
            "tests/test_readme.py": (
                "test_the_examples_answer_what_the_page_says",
                "test_the_examples_of_the_page_about_jobs_are_answered",
                "test_the_worker_gets_the_arguments_that_the_page_says",
                "test_the_clients_of_the_page_for_backends_do_what_it_says",
                "test_the_worker_that_the_readme_builds_calls_the_backend",
                "test_a_container_of_their_page_ends_as_it_says",
                "test_the_tutorial_leads_to_a_worker_of_ones_own",
            ),
        },
        "its launches need listings, which the test makes odd": {
            "tests/soak/test_soak.py": ("test_nothing_grows[few means, no reader]",),
        },
        "its faults at random are those of several machines, in tests/swarm": {
            "tests/chaos/test_chaos.py": (ALL,),
        },
        "its launches under way are 16 by default, and the test waits for one of fewer": {
            "tests/e2e/test_traces.py": ("test_what_a_launch_waits_for_is_told",),
        },
        "its managers know no digest of an image that is in no registry": {
            "tests/e2e/test_terminal.py": ("test_a_person_sees_what_has_failed_and_why",),
            "tests/test_runbook.py": ("test_the_image_of_a_running_job_is_told",),
        },
        "it takes requests of at most 400 KiB": {
            "tests/e2e/test_bad_input.py": (
                "test_arguments_close_to_the_limit_of_all_of_them_run",
            ),
        },
        "it refuses so short a grace of orphans": {
            "tests/e2e/test_run_policies.py": (
                "test_a_sigkill_at_any_moment_of_a_restart_leaves_each_job_once",
            ),
        },
        "the test examines an Engine alone, and its node is in a network of its own": {
            "tests/e2e/test_doctor.py": (
                "test_where_all_is_well_every_check_says_so",
                "test_images_and_networks_that_are_missing",
                "test_beside_a_running_supervisor",
                "test_inside_of_the_supervisors_own_container",
            ),
        },
        "a file with credentials is a secret there, and no volume": {
            "tests/e2e/test_credentials.py": (
                "test_a_file_is_seen_by_nobody_on_the_host_and_goes_with_its_container",
                ("test_a_file_that_is_left_behind_when_somebody_removes_its_container_is_removed"),
                "test_a_job_that_is_started_again_has_its_file_and_leaves_none",
            ),
        },
        "only the supervisor that launched a job knows its secret there; others hide its output": {
            "tests/e2e/test_credentials.py": (
                (
                    "test_what_a_worker_says_of_its_credentials_is_not_in_the_log"
                    "[after a restart-file]"
                ),
            ),
        },
        "it refuses health checks": {
            "tests/e2e/test_ready.py": (
                "test_a_launch_is_answered_once_its_job_is_healthy_which_is_told_from_then_on",
                "test_a_job_that_becomes_unhealthy_is_started_again_if_it_says_so",
                "test_a_job_that_does_not_become_healthy_is_ended_and_gives_no_secret_away",
                "test_an_image_without_a_health_check_is_refused_before_it_runs",
                "test_a_worker_that_exits_or_is_killed_ends_the_wait",
                "test_a_start_that_adopts_goes_on_waiting",
            ),
        },
        "its nodes remove containers and volumes, and an orphan is a service there": {
            "tests/e2e/test_volumes.py": (
                "test_kills_exits_and_failed_starts_leave_no_volume",
                "test_what_an_earlier_run_has_left_takes_its_volumes_along",
                "test_one_container_too_many_takes_its_volume_along",
                "test_a_job_that_is_started_again_has_one_volume_also_after_a_sigkill",
                "test_the_go_supervisors_containers_take_their_volumes_along",
            ),
        },
        "names are those of services there, and not of containers": {
            "tests/e2e/test_launch.py": (
                "test_a_container_that_a_third_party_renames_is_still_the_job",
                "test_a_name_that_another_job_has_been_given_is_an_error_and_no_dedup",
                ("test_a_name_that_a_stranger_holds_is_an_error_and_the_stranger_is_left_alone"),
                "test_a_stranger_that_has_exited_holds_its_name_all_the_same",
            ),
            "tests/e2e/test_metrics.py": ("test_failures_that_a_request_brings_on",),
            "tests/e2e/test_names.py": (
                "test_in_production_a_valid_identifier_is_the_name",
                "test_any_other_identifier_runs_under_a_name_that_is_valid",
                "test_identifiers_that_look_alike_run_side_by_side",
                "test_a_reactions_name_has_its_launch_id",
            ),
            "tests/e2e/test_observer.py": (
                "test_the_container_and_its_image_are_told_as_the_engine_has_them",
            ),
            "tests/e2e/test_traces.py": (
                "test_an_error_in_the_answer_marks_the_span_as_an_error[launched3-name_taken]",
            ),
        },
        "an orphan is a service there, and no container": {
            "tests/e2e/test_fairness.py": (
                "test_a_sigkill_while_launches_wait_leaves_what_ran_and_no_more_than_may",
            ),
            "tests/e2e/test_adopt.py": (
                "test_a_container_that_is_nobodys_job_is_removed_after_its_grace",
                "test_a_labelled_container_that_serves_the_instance_is_a_second_one",
            ),
            "tests/e2e/test_orphans.py": (
                "test_an_orphan_is_removed_once_it_has_had_its_grace_and_nothing_else_is",
                "test_a_dry_run_tells_of_orphans_and_removes_none",
                "test_what_is_started_meanwhile_is_a_job_and_no_orphan",
                "test_what_a_crash_between_create_and_start_has_left_is_found_and_removed",
            ),
            "tests/e2e/test_start.py": (
                "test_it_removes_what_this_instance_has_launched_and_nothing_else",
            ),
        },
        "its managers are asked whether there is a leader, and no node about its containerd": {
            "tests/e2e/test_notice.py": (
                (
                    "test_readiness_falls_within_five_seconds_however_the_engine_goes"
                    "[freeze_containerd]"
                ),
            ),
        },
        "any number of supervisors of one instance may share it": {
            "tests/e2e/test_adopt.py": (
                "test_a_second_one_of_the_same_name_is_refused_until_the_first_is_gone",
            ),
        },
        "it keeps how each task has ended, also of a container that was removed, and after a gap": {
            "tests/e2e/test_adopt.py": (
                "test_what_ended_while_nobody_was_there_is_told_and_removed",
            ),
            "tests/e2e/test_run_policies.py": (
                "test_an_engine_that_restarts_takes_no_job_that_restarts",
            ),
        },
        "the test makes the fault in a call that only a single Engine gets": {
            "tests/e2e/test_identifiers.py": (
                "test_what_cannot_be_stopped_is_told_in_some_kilobytes",
            ),
            "tests/e2e/test_limits.py": (
                "test_past_the_bound_a_launch_is_refused_at_once_and_the_rest_goes_through",
                (
                    "test_a_launch_that_waits_is_dropped_at_its_clients_deadline"
                    "_and_gives_its_place_back"
                ),
            ),
        },
        "it ignores containers that are started on a node past it": {
            "tests/e2e/test_launch.py": (
                "test_a_container_that_a_third_party_restarts_leaves_one_job_at_most",
            ),
        },
        "it waits for two seconds before it sends SIGTERM, and the test measures that time": {
            "tests/e2e/test_kill.py": (
                "test_sigterm_arrives_and_the_container_is_gone",
                "test_all_are_killed_in_parallel",
            ),
        },
        "its calls are others: none lists processes, and a kill looks at the service first": {
            "tests/e2e/test_traces.py": (
                "test_a_launch_is_a_trace_that_continues_the_callers",
                "test_a_kill_is_a_trace_with_a_span_for_each_call_to_the_engine",
                "test_a_kill_of_everything_is_one_trace",
                "test_a_failed_call_to_the_engine_marks_its_own_span",
            ),
            "tests/e2e/test_not_run.py": (
                "test_an_image_that_is_built_anew_is_found_out_at_its_first_launch",
                "test_only_the_first_launch_of_an_image_is_looked_at",
                "test_an_engine_that_does_not_list_processes_costs_a_launch_a_moment",
                "test_a_kill_while_it_is_looked_at_waits_for_the_look",
            ),
        },
        "the catalogue of the test has a runtime, which a Swarm refuses": {
            "tests/e2e/test_job_surroundings.py": (
                "test_a_job_has_its_surroundings_before_and_after_a_crash_of_the_supervisor",
                "test_what_cannot_be_had_is_told_at_the_start_or_by_the_launch",
            ),
        },
        "the id of a job's workload is that of its service": {
            "tests/e2e/test_traces.py": ("test_the_life_of_a_job_is_a_trace_linked_to_its_launch",),
        },
        "the test runs in development, which a Swarm refuses": {
            "tests/e2e/test_modes.py": (
                "test_development_keeps_what_has_exited_and_relaunches_beside_it",
                "test_development_keeps_what_was_killed_and_relaunches_beside_it",
                "test_the_ends_of_older_containers_do_not_end_the_newer_job",
                "test_development_tells_of_a_success_without_output",
            ),
            "tests/e2e/test_names.py": (
                "test_developments_count_goes_on_from_the_highest_there_is",
                "test_developments_names_are_the_identifier_and_a_count",
                "test_many_launches_in_development_find_names_of_their_own",
            ),
            "tests/e2e/test_notice.py": (
                "test_a_restart_by_a_third_party_is_noticed_within_two_seconds",
            ),
            "tests/e2e/test_orphans.py": ("test_what_development_keeps_is_no_orphan",),
            "tests/e2e/test_run_policies.py": (
                "test_what_ends_is_started_again_also_by_the_next_supervisor[9-development]",
            ),
            "tests/e2e/test_start.py": (
                "test_a_stop_and_a_start_of_development_leave_only_strangers",
            ),
            "tests/e2e/test_retention.py": (
                "test_past_a_number_or_an_age_the_oldest_go_and_nobody_elses",
            ),
            "tests/e2e/test_secrets.py": (
                "test_a_worker_that_prints_its_arguments_and_fails_gives_no_secret_away",
            ),
        },
        "it reports no signal that was sent past it, no lack of memory, and no pause": {
            "tests/e2e/test_ended_by_others.py": (
                "test_who_has_ended_a_job_past_the_supervisor_is_told",
                "test_nobody_else_is_named_for_an_end_that_is_the_workers_own_or_ours",
            ),
            "tests/e2e/test_metrics.py": ("test_exits",),
            "tests/e2e/test_modes.py": ("test_production_removes_what_has_exited_and_logs_why",),
            "tests/e2e/test_notice.py": (
                "test_an_end_is_noticed_within_two_seconds[oom]",
                "test_a_pause_is_noticed_within_two_seconds",
            ),
            "tests/e2e/test_observer.py": ("test_a_job_without_memory_says_so",),
            "tests/test_runbook.py": ("test_a_paused_job_is_told_and_runs_again",),
        },
        "the test removes containers past it, which it reports as a failure after some seconds": {
            "tests/e2e/test_agreement.py": ("test_list_metrics_and_engine_agree_after_each_step",),
        },
        "its nodes pull by themselves, and the start refuses `pull`": {
            "tests/e2e/test_pulls.py": (
                "test_a_launch_pulls_what_is_missing_and_a_later_one_has_it",
                "test_an_image_is_pulled_and_launched_by_its_digest",
                ("test_each_launch_pulls_if_it_says_always_and_production_warns_of_a_moving_tag"),
                "test_a_kill_ends_a_launch_that_pulls",
                "test_a_pull_ends_with_the_last_client_that_waits",
                "test_a_stop_does_not_wait_for_a_pull",
                "test_a_supervisor_that_is_killed_during_a_pull_leaves_nothing",
                "test_a_pull_that_takes_too_long_is_a_504",
            ),
            "tests/e2e/test_socket_proxy.py": (
                "test_a_pull_passes_only_where_the_operator_allows_it",
            ),
        },
        "a manager that was killed takes longer to lead again than the test waits": {
            "tests/e2e/test_metrics.py": ("test_an_engine_that_dies",),
        },
    },
    "docker-26.1": {
        _OTHER_ROOT: {"tests/e2e/test_doctor.py": _NEEDS_THIS_PYTHON},
    },
    "podman-5.4": {
        _OTHER_ROOT: {"tests/e2e/test_doctor.py": _NEEDS_THIS_PYTHON},
        "it keeps no grace of a stop: the supervisor does, which the test kills meanwhile": {
            "tests/e2e/test_adopt.py": ("test_a_kill_that_was_half_done_is_done",),
        },
        "after a 429 of a registry it tries again by itself, for minutes": {
            "tests/engine/test_pulls.py": (
                "test_what_a_registry_answers_is_told_apart[429-6]",
                "test_what_a_registry_answers_is_told_apart[429-7]",
            ),
        },
        "it tells neither the end of a layer nor its size during a pull": {
            "tests/engine/test_pulls.py": ("test_an_image_is_pulled_with_news_of_its_layers",),
        },
        "it removes the containers of an image that is removed by force": {
            "tests/engine/test_successors.py": (
                "test_an_image_that_is_gone_by_now_is_told_as_such[docker]",
            ),
        },
        "it keeps no labels of a volume without a name": {
            "tests/engine/test_secret_files.py": (
                "test_a_file_that_a_third_party_leaves_behind_is_removed_and_no_other_volume",
            ),
            "tests/e2e/test_credentials.py": (
                "test_a_file_that_is_left_behind_when_somebody_removes_its_container_is_removed",
            ),
            "tests/e2e/test_socket_proxy.py": (
                "test_files_with_credentials_pass_through_the_proxy",
            ),
        },
        "it makes a folder of the host that is not there": {
            "tests/engine/test_surroundings.py": (
                (
                    "test_a_folder_that_is_not_to_be_had_is_refused_and_nothing_is_left"
                    "[nowhere-bind source path does not exist: .*make the folder on the host]"
                ),
            ),
        },
        "it takes any option of a log, and lists no drivers": {
            "tests/engine/test_surroundings.py": (
                (
                    "test_what_the_engine_lacks_is_refused_by_name_and_nothing_is_left"
                    "[surroundings3-no-such]"
                ),
                "test_docker_tells_what_it_has",
            ),
        },
        "it tells the options of a log over its own API alone": {
            "tests/engine/test_surroundings.py": (
                "test_a_job_keeps_little_of_what_it_prints_unless_the_catalogue_says_otherwise",
            ),
        },
        "it has defaults of its own for shared memory and ulimits": {
            "tests/engine/test_limits.py": (
                "test_docker_has_defaults_for_what_the_catalogue_leaves_out",
            ),
        },
        "a health check that the catalogue only changes is that of the image there": {
            "tests/engine/test_health.py": (
                "test_what_a_health_check_leaves_out_is_that_of_the_image",
            ),
        },
        "it finds no image without a registry in its name for a platform": {
            "tests/engine/test_pulls.py": ("test_an_image_for_another_platform_is_missing",),
        },
        "systemd makes its probes, which does not run here, and it splits arguments at blanks": {
            "tests/e2e/test_ready.py": (
                "test_a_launch_is_answered_once_its_job_is_healthy_which_is_told_from_then_on",
                "test_a_job_that_becomes_unhealthy_is_started_again_if_it_says_so",
                "test_a_job_that_does_not_become_healthy_is_ended_and_gives_no_secret_away",
                "test_a_start_that_adopts_goes_on_waiting",
            ),
            "tests/engine/test_health.py": (
                "test_docker_runs_the_health_check_that_the_catalogue_gives",
                "test_docker_tells_of_health_by_events_lists_and_inspections",
            ),
        },
        "it tells of no signal that a stop or a removal by force sends, and of none by number": {
            "tests/e2e/test_ended_by_others.py": (
                "test_who_has_ended_a_job_past_the_supervisor_is_told",
            ),
            "tests/e2e/test_prometheus.py": (
                (
                    "test_an_alert_tells_of_jobs_that_others_have_ended"
                    "_and_of_none_that_ended_by_themselves"
                ),
            ),
            "tests/engine/test_contract.py": (
                "test_watch_tells_of_signals_before_the_exit_that_they_lead_to[docker]",
            ),
        },
        "its containers run on whatever becomes of its service: a stop or a crash ends no job": {
            "tests/e2e/test_run_policies.py": (
                "test_an_engine_that_restarts_takes_no_job_that_restarts",
            ),
            "tests/e2e/test_socket_proxy.py": (
                "test_an_engine_that_is_stopped_behind_the_proxy_has_lost_its_jobs",
            ),
            "tests/e2e/test_metrics.py": ("test_an_engine_that_dies",),
            "tests/e2e/test_engine_away.py": (
                "test_an_engine_that_is_stopped_takes_its_jobs_along",
                "test_jobs_that_a_crash_has_killed_are_lost_and_can_be_launched_again",
                "test_crash_after_crash_it_comes_back_each_time",
            ),
            "tests/e2e/test_engine_leaving.py": (
                "test_whatever_a_worker_makes_of_sigterm_a_stopping_engine_has_lost_its_job",
                "test_the_same_where_systemd_holds_the_engines_socket",
                "test_the_same_behind_a_proxy_that_goes_on_listening",
                "test_the_alert_for_many_lost_jobs_tells_of_an_engines_stop_and_no_other_does",
                "test_nothing_is_told_as_stopping_while_the_engine_stops",
            ),
        },
        "it has no containerd that could hang": {
            "tests/e2e/test_doctor.py": ("test_an_engine_that_hangs",),
            "tests/e2e/test_engine_faults.py": (
                "test_a_hung_containerd_is_noticed_although_the_engine_answers",
            ),
            "tests/e2e/test_notice.py": (
                (
                    "test_readiness_falls_within_five_seconds_however_the_engine_goes"
                    "[freeze_containerd]"
                ),
            ),
        },
        "what it cannot delete is gone from its lists and cannot be renamed": {
            "tests/e2e/test_set_aside.py": (
                "test_what_cannot_be_removed_blocks_neither_kill_nor_launch[the layer]",
                "test_a_start_sets_aside_what_cannot_be_removed_and_the_next_one_minds_it_no_more",
            ),
        },
        "the test makes the fault with a file that only Docker has": {
            "tests/e2e/test_set_aside.py": (
                (
                    "test_what_cannot_be_removed_blocks_neither_kill_nor_launch"
                    "[a file of the Engine's]"
                ),
                "test_an_exit_of_what_cannot_be_removed_is_told_as_it_was",
                "test_a_launch_clears_what_a_third_party_has_failed_to_remove",
                "test_what_cannot_be_renamed_either_fails_with_both_reasons_and_is_made_good",
            ),
        },
        "it is about an option that only Docker has (userns-remap)": {
            "tests/e2e/test_surroundings.py": (
                "test_an_engine_that_remaps_users_is_told_and_a_launch_says_what_helps",
                "test_on_an_engine_that_remaps_users_jobs_run_in_another_network",
            ),
        },
        "it tells each of several removals at once that it has removed the container": {
            "tests/engine/test_contract.py": (
                "test_remove_at_once_by_many_is_a_success_for_all[docker]",
                "test_docker_waits_for_a_removal_that_a_third_party_began",
            ),
        },
        "its networks need nftables, which the root file system of the tests lacks": {
            "tests/e2e/test_callback.py": (
                "test_compose_finds_what_is_misspelt_in_its_env_file",
                "test_compose_runs_it_and_a_new_container_takes_over_its_jobs_and_its_history",
                "test_compose_runs_it_with_tls_and_its_health_check_is_well",
            ),
        },
        "what it builds has no HEALTHCHECK, for which the format of its images has no place": {
            "tests/e2e/test_callback.py": (
                "test_the_images_own_health_check_follows_the_process",
                "test_the_images_own_health_check_works_with_tls",
            ),
        },
        "it limits each container to 2,048 processes by itself": {
            "tests/e2e/test_launch.py": ("test_a_job_without_limits_has_none",),
            "tests/engine/test_contract.py": ("test_docker_sets_no_limit_that_nobody_asked_for",),
        },
    },
}


@cache
def reasons(engine: str) -> Mapping[str, str]:
    """Why tests are left out on an Engine, by their ids, or by what is before `[` for all cases."""
    return {
        f"{file}::{name}": reason
        for reason, files in EXCLUDED.get(engine, {}).items()
        for file, names in files.items()
        for name in names
    }


def reason(test: str, engine: str) -> str | None:
    """Why a test is left out on an Engine, if it is."""
    known = reasons(engine)
    every_case, file = test.partition("[")[0], test.partition("::")[0]
    return known.get(test) or known.get(every_case) or known.get(f"{file}::{ALL}")


def leave_out(items: Iterable[pytest.Item]) -> None:
    """Skip what the chosen Engine cannot pass."""
    engine = engines.chosen()
    for item in items:
        lacks_swarm = engine.startswith("podman") and needs.starts_a_swarm(item)
        if why := reason(item.nodeid, engine) or ("it has no Swarm" if lacks_swarm else None):
            item.add_marker(pytest.mark.skip(reason=why))
