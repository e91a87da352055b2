/*
 * Services kept true: what is asked of containers, images and registries in which situation.
 */
#include "tests/unit/engine/manifest/puppets.h"

/* ---- cases ---- */

TEST(an_image_that_is_there_is_not_asked_for)
{
	world_up(ONE(""));
	has_image("img:1", "sha256:1");
	service_step(run_at(0));
	container_ends(0);
	was_asked("create p-a-1, start p-a-1");
	CHECK_INT(run_at(0)->state, SERVICE_RUNNING);
	world_down();
}

TEST(an_image_comes_from_an_archive_before_a_registry)
{
	world_up(ONE(""));
	service_step(run_at(0));
	was_asked("load img:1");
	has_image("img:1", "sha256:1");
	ends(&w.loading, 0, NULL);
	was_asked("create p-a-1, start p-a-1");
	container_ends(0);
	world_down();
}

TEST(an_image_that_no_archive_holds_is_pulled)
{
	world_up(ONE(""));
	service_step(run_at(0));
	ends(&w.loading, -ENOENT, "No such image: img:1");
	was_asked("load img:1, pull img:1");
	CHECK_INT(run_at(0)->state, SERVICE_IMAGE);
	has_image("img:1", "sha256:1");
	ends(&w.pulling, 0, NULL);
	was_asked("create p-a-1, start p-a-1");
	container_ends(0);
	CHECK_INT(run_at(0)->state, SERVICE_RUNNING);
	CHECK(!run_at(0)->error && !run_at(0)->pull_error);
	world_down();
}

TEST(a_pull_that_fails_is_tried_again_with_growing_pauses)
{
	int64_t pause = RETRY_FIRST_MS;

	world_up(ONE(""));
	service_step(run_at(0));
	for (int i = 0; i < 9; i++) {
		ends(&w.loading, -ENOENT, "No such image: img:1");
		ends(&w.pulling, -EHOSTUNREACH, "no route");
		was_asked("load img:1, pull img:1");
		CHECK_INT(run_at(0)->state, SERVICE_FAILED);
		CHECK_STR(run_at(0)->error, "/etc/x/p.yaml:3: services.a.image: no route; no "
					    "archive of this machine holds it either");
		CHECK_INT(run_at(0)->retry_ms, pause);
		pause = MIN(2 * pause, (int64_t)RETRY_MAX_MS);
		fires(&run_at(0)->retry);
	}
	CHECK_INT(pause, RETRY_MAX_MS);
	has_image("img:1", "sha256:1");
	ends(&w.loading, 0, NULL);
	container_ends(0);
	CHECK_INT(run_at(0)->state, SERVICE_RUNNING);
	CHECK(!run_at(0)->error);
	world_down();
}

TEST(never_means_no_registry)
{
	world_up(POLICY("never"));
	service_step(run_at(0));
	ends(&w.loading, -ENOENT, "No such image: img:1");
	was_asked("load img:1");
	CHECK_INT(run_at(0)->state, SERVICE_FAILED);
	world_down();
}

TEST(an_image_that_comes_from_elsewhere_ends_the_wait)
{
	world_up(ONE(""));
	service_step(run_at(0));
	ends(&w.loading, -ENOENT, "No such image: img:1");
	CHECK(!service_image_came(run_at(0)));
	has_image("img:1", "sha256:1");
	CHECK(service_image_came(run_at(0)));
	CHECK(!w.pulling);
	service_step(run_at(0));
	container_ends(0);
	was_asked("load img:1, pull img:1, create p-a-1, start p-a-1");
	CHECK(!service_image_came(run_at(0)));
	world_down();
}

TEST(a_damaged_archive_is_no_reason_to_pull)
{
	world_up(ONE(""));
	service_step(run_at(0));
	ends(&w.loading, -EIO, "cannot read");
	was_asked("load img:1");
	CHECK_STR(run_at(0)->error, "/etc/x/p.yaml:3: services.a.image: cannot read");
	world_down();
}

TEST(always_pulls_before_the_first_container_is_made)
{
	world_up(POLICY("always"));
	has_image("img:1", "sha256:1");
	service_step(run_at(0));
	was_asked("pull img:1");
	has_image("img:1", "sha256:2");
	ends(&w.pulling, 0, NULL);
	was_asked("create p-a-1, start p-a-1");
	container_ends(0);
	CHECK_STR(w.made[0].image, "sha256:2");
	service_step(run_at(0));
	was_asked("");
	world_down();
}

TEST(always_uses_what_is_there_when_the_registry_is_not)
{
	world_up(POLICY("always"));
	has_image("img:1", "sha256:1");
	service_step(run_at(0));
	ends(&w.pulling, -EHOSTUNREACH, "no route");
	was_asked("pull img:1, create p-a-1, start p-a-1");
	container_ends(0);
	CHECK_INT(run_at(0)->state, SERVICE_RUNNING);
	CHECK_STR(run_at(0)->pull_error, "no route");
	/* and asks again, also while it runs */
	fires(&run_at(0)->pull_retry);
	was_asked("pull img:1");
	CHECK_INT(run_at(0)->state, SERVICE_RUNNING);
	has_image("img:1", "sha256:2");
	ends(&w.pulling, 0, NULL);
	was_asked("create p-a-1, stop p-a-1.old-00000000");
	CHECK(!run_at(0)->pull_error);
	container_ends(0);
	container_ends(0);
	was_asked("start p-a-1");
	CHECK_STR(w.made[1].image, "sha256:2");
	world_down();
}

TEST(always_at_boot_starts_what_is_there_first)
{
	runs_already(POLICY("always"));
	begins_again(POLICY("always"), true);
	service_step(run_at(0));
	was_asked("start p-a-1");
	container_ends(0);
	was_asked("pull img:1");
	CHECK_INT(run_at(0)->state, SERVICE_RUNNING);
	ends(&w.pulling, 0, NULL); /* it is the same */
	was_asked("");
	world_down();
}

TEST(a_new_image_that_cannot_be_had_leaves_the_old_container_running)
{
	runs_already(ONE(""));
	begins_again(NEWER, false);
	service_step(run_at(0));
	ends(&w.loading, -ENOENT, "No such image: img:2");
	ends(&w.pulling, -EHOSTUNREACH, "no route");
	was_asked("load img:2, pull img:2");
	CHECK_INT(run_at(0)->state, SERVICE_FAILED);
	CHECK_INT(w.made[0].state, CONTAINER_RUNNING);
	/* the machine starts, and still has no network */
	begins_again(NEWER, true);
	service_step(run_at(0));
	ends(&w.loading, -ENOENT, "No such image: img:2");
	ends(&w.pulling, -EHOSTUNREACH, "no route");
	was_asked("load img:2, pull img:2, start p-a-1");
	container_ends(0);
	CHECK_INT(w.made[0].state, CONTAINER_RUNNING);
	/* one that somebody stopped rests */
	w.made[0].state = CONTAINER_EXITED;
	fires(&run_at(0)->retry);
	ends(&w.loading, -ENOENT, "No such image: img:2");
	ends(&w.pulling, -EHOSTUNREACH, "no route");
	was_asked("load img:2, pull img:2");
	/* then the image comes */
	w.made[0].state = CONTAINER_RUNNING;
	fires(&run_at(0)->retry);
	has_image("img:2", "sha256:2");
	ends(&w.loading, 0, NULL);
	container_ends(0);
	container_ends(0);
	was_asked("load img:2, create p-a-1, stop p-a-1.old-00000000, start p-a-1");
	CHECK_STR(w.made[1].image, "sha256:2");
	world_down();
}

TEST(dependents_start_on_a_service_that_runs_its_image_of_before)
{
	static const char two[] = ONE("  b:\n    image: img:1\n" PLAIN "    depends_on: [a]\n"),
			  newer[] = NEWER "  b:\n    image: img:1\n" PLAIN "    depends_on: [a]\n";

	world_up(two);
	has_image("img:1", "sha256:1");
	for (size_t i = 0; i < 2; i++) {
		service_step(run_at(i));
		container_ends(0);
	}
	begins_again(newer, true);
	w.asked[0] = '\0';
	service_step(run_at(0));
	service_step(run_at(1));
	ends(&w.loading, -ENOENT, "No such image: img:2");
	ends(&w.pulling, -EHOSTUNREACH, "no route");
	was_asked("load img:2, pull img:2, start p-a-1");
	container_ends(0);
	service_step(run_at(1));
	was_asked("start p-b-1");
	container_ends(0);
	CHECK_INT(run_at(1)->state, SERVICE_RUNNING);
	world_down();
}

TEST(daily_asks_again_after_a_day)
{
	runs_already(POLICY("daily"));
	CHECK(timer_armed(&run_at(0)->pull_retry)); /* the rest of the day */
	w.image.loaded_ns -= INT64_C(86400) * 1000000000;
	fires(&run_at(0)->pull_retry);
	was_asked("pull img:1");
	ends(&w.pulling, 0, NULL); /* the same; the next is in a day, though the image is older */
	was_asked("");
	CHECK(timer_armed(&run_at(0)->pull_retry));
	world_down();
}

TEST(an_image_from_the_future_is_asked_for_in_a_day)
{
	runs_already(POLICY("every_1d"));
	timer_clear(&run_at(0)->pull_retry);
	w.image.loaded_ns += INT64_C(864000) * 1000000000;
	service_step(run_at(0));
	was_asked("");
	CHECK(timer_armed(&run_at(0)->pull_retry));
	world_down();
}

TEST(a_version_that_does_not_start_gives_way_to_the_one_before)
{
	runs_already(ONE(""));
	begins_again(ONE("    command: [x]\n"), false);
	service_step(run_at(0));
	container_ends(0); /* the old one stops */
	container_ends(-ENOENT); /* the new one does not start */
	was_asked("create p-a-1, stop p-a-1.old-00000000, start p-a-1, remove p-a-1");
	container_ends(0);
	was_asked("start p-a-1");
	container_ends(0);
	CHECK_INT(run_at(0)->state, SERVICE_HELD);
	CHECK_INT(w.made[0].state, CONTAINER_RUNNING);
	world_down();
}

TEST(another_ones_container_is_left_alone)
{
	runs_already(ONE(""));
	str_copy(w.made[0].project, sizeof(w.made[0].project), "other");
	begins_again(ONE(""), false);
	service_step(run_at(0));
	was_asked("");
	CHECK_INT(run_at(0)->state, SERVICE_FAILED);
	world_down();
}
