/*
 * Services kept true, several of them: dependencies and restarts, numbers of containers, profiles,
 * networks, and what goes when it is not declared any more.
 */
#include "tests/unit/engine/manifest/puppets.h"

/* ---- dependencies ---- */

#define TWO(dep) ONE("") "  b:\n    image: img:1\n" PLAIN "    depends_on: {a: {" dep "}}\n"

/* Brings every service up, in order. */
static void all_run(const char *yaml)
{
	world_up(yaml);
	has_image("img:1", "sha256:1");
	for (size_t i = 0; i < w.project.n_runs; i++) {
		service_step(run_at(i));
		container_ends(0);
	}
	w.asked[0] = '\0';
}

static void settle(void)
{
	for (int round = 0; round < 4; round++)
		for (size_t i = 0; i < w.project.n_runs; i++) {
			service_step(run_at(i));
			while (w.running)
				container_ends(0);
		}
}

TEST(a_dependent_with_restart_follows_a_dependency_that_is_made_anew)
{
	static const char newer[] =
		NEWER "  b:\n    image: img:1\n" PLAIN
		      "    depends_on: {a: {condition: service_started, restart: "
		      "true}}\n";

	all_run(TWO("condition: service_started, restart: true"));
	has_image("img:2", "sha256:2");
	begins_again(newer, false);
	settle();
	was_asked("create p-a-1, stop p-a-1.old-00000000, start p-a-1, restart p-b-1");
	settle();
	was_asked("");
	world_down();
}

TEST(a_dependent_without_restart_stays)
{
	static const char newer[] = NEWER "  b:\n    image: img:1\n" PLAIN
					  "    depends_on: {a: {condition: service_started}}\n";

	all_run(TWO("condition: service_started"));
	has_image("img:2", "sha256:2");
	begins_again(newer, false);
	settle();
	was_asked("create p-a-1, stop p-a-1.old-00000000, start p-a-1");
	world_down();
}

TEST(a_dependent_follows_a_restart_by_hand_once)
{
	all_run(TWO("condition: service_started, restart: true"));
	settle();
	was_asked("");
	service_restarted(w.m, run_at(0)->id);
	settle();
	was_asked("restart p-b-1");
	settle();
	was_asked("");
	/* nobody depends on this one */
	service_restarted(w.m, run_at(1)->id);
	settle();
	was_asked("");
	world_down();
}

TEST(what_is_not_required_is_not_waited_for_once_it_failed)
{
	static const char two[] =
		"services:\n  a:\n    image: gone\n" PLAIN "  b:\n    image: img:1\n" PLAIN
		"    depends_on: {a: {condition: service_healthy, required: false}}\n";

	world_up(two);
	has_image("img:1", "sha256:1");
	service_step(run_at(0));
	service_step(run_at(1));
	was_asked("load gone");
	CHECK_INT(run_at(1)->state, SERVICE_WAITING);
	ends(&w.loading, -EIO, "cannot read");
	service_step(run_at(1));
	was_asked("create p-b-1, start p-b-1");
	container_ends(0);
	world_down();
}

TEST(all_containers_of_a_dependency_are_waited_for)
{
	static const char two[] =
		ONE("    scale: 2\n    healthcheck: {test: x}\n") "  b:\n    image: img:1\n" PLAIN
								  "    depends_on: {a: {condition: "
								  "service_healthy}}\n";

	world_up(two);
	has_image("img:1", "sha256:1");
	for (size_t i = 0; i < 2; i++) {
		service_step(run_at(i));
		container_ends(0);
	}
	was_asked("create p-a-1, start p-a-1, create p-a-2, start p-a-2");
	str_copy(w.made[0].health, sizeof(w.made[0].health), "healthy");
	str_copy(w.made[1].health, sizeof(w.made[1].health), "starting");
	service_step(run_at(2));
	was_asked("");
	str_copy(w.made[1].health, sizeof(w.made[1].health), "healthy");
	service_step(run_at(2));
	was_asked("create p-b-1, start p-b-1");
	container_ends(0);
	world_down();
}

/* ---- numbers, profiles, orphans ---- */

TEST(fewer_and_more_containers)
{
	all_run(ONE("    scale: 2\n"));
	CHECK_STR(w.made[1].name, "p-a-2");
	CHECK_STR(w.made[1].number, "2");
	begins_again(ONE("    scale: 1\n"), false);
	settle();
	was_asked("");
	orphans_look(w.m);
	container_ends(0); /* it stops, and is removed */
	container_ends(0);
	was_asked("stop p-a-2, remove p-a-2");
	CHECK(!w.made[0].gone && w.made[1].gone);
	begins_again(ONE("    scale: 2\n"), false);
	settle();
	was_asked("create p-a-2, start p-a-2");
	world_down();
}

TEST(a_profile_that_is_not_active_any_more)
{
	all_run("x-skerry-profiles: [x]\n" ONE("    profiles: [x]\n"));
	CHECK_INT(w.made[0].state, CONTAINER_RUNNING);
	begins_again(ONE("    profiles: [x]\n"), false);
	CHECK_INT(w.project.n_runs, 0);
	orphans_look(w.m);
	container_ends(0);
	container_ends(0);
	was_asked("stop p-a-1, remove p-a-1");
	world_down();
}

TEST(only_what_changed_is_made_anew)
{
	static const char before[] = ONE("") "  b:\n    image: img:1\n" PLAIN,
			  after[] = "x-note: 1\n" ONE("") "  b:\n    image: img:1\n" PLAIN
							  "    hostname: h\n";

	all_run(before);
	begins_again(after, false);
	settle();
	was_asked("create p-b-1, stop p-b-1.old-00000000, start p-b-1");
	world_down();
}

TEST(the_version_before_goes_when_the_new_one_runs)
{
	all_run(ONE(""));
	begins_again(ONE("    hostname: h\n"), false);
	service_step(run_at(0));
	orphans_look(w.m); /* being replaced: not yet */
	was_asked("create p-a-1, stop p-a-1.old-00000000");
	container_ends(0);
	container_ends(0);
	was_asked("start p-a-1");
	orphans_look(w.m);
	container_ends(0);
	container_ends(0);
	was_asked("stop p-a-1.old-00000000, remove p-a-1.old-00000000");
	world_down();
}

/* ---- networks ---- */

#define NETTED(top) \
	"services:\n  a: {image: 'img:1', networks: [n]}\n  b: {image: 'img:1'}\nnetworks:\n" top

TEST(networks_are_made_once_with_composes_labels)
{
	world_up(NETTED("  n: {labels: {k: v}}\n  spare: {}\n"));
	has_image("img:1", "sha256:1");
	settle();
	was_asked("net p_n, create p-a-1, start p-a-1, net p_default, create p-b-1, start p-b-1");
	CHECK_STR(strv_env_get(w.nets[0].labels, "com.docker.compose.network"), "n");
	CHECK_STR(strv_env_get(w.nets[0].labels, "com.docker.compose.project"), "p");
	CHECK_STR(strv_env_get(w.nets[0].labels, "k"), "v");
	things_clean(w.m);
	was_asked("");
	world_down();
}

TEST(a_network_that_changed_is_made_anew_when_nothing_runs_in_it)
{
	world_up(NETTED("  n: {}\n"));
	has_image("img:1", "sha256:1");
	settle();
	w.asked[0] = '\0';
	w.made[0].gone = true;
	w.net_busy = true;
	begins_again(NETTED("  n: {internal: true}\n"), false);
	service_step(run_at(0));
	was_asked("");
	CHECK(strstr(run_at(0)->error, "the network 'p_n' is declared in another way than it is"));
	w.net_busy = false;
	fires(&run_at(0)->retry);
	container_ends(0);
	was_asked("no net p_n, net p_n, create p-a-1, start p-a-1");
	world_down();
}

TEST(networks_of_others)
{
	world_up(NETTED("  n: {external: true, name: theirs}\n"));
	has_image("img:1", "sha256:1");
	service_step(run_at(0));
	was_asked("");
	CHECK_STR(run_at(0)->error,
		  "/etc/x/p.yaml:2: services.a: the external network 'theirs' does not exist");
	net_is_there("theirs", NULL);
	fires(&run_at(0)->retry);
	container_ends(0);
	was_asked("create p-a-1, start p-a-1");
	net_is_there("p_default", NULL);
	service_step(run_at(1));
	was_asked("");
	CHECK(strstr(run_at(1)->error, "there is a network 'p_default' that is not the project's"));
	world_down();
}

TEST(networks_that_nobody_declares_go)
{
	world_up(NETTED("  n: {}\n"));
	has_image("img:1", "sha256:1");
	settle();
	net_is_there("other", NULL);
	w.asked[0] = '\0';
	begins_again("services:\n  b: {image: 'img:1'}\n", false);
	things_clean(w.m);
	was_asked("no net p_n");
	world_down();
}
