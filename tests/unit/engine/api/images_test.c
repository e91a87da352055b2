/*
 * Images as a client sees them: bodies that stream in and archives that stream out, progress,
 * statuses before the first byte and behind it, clients that leave; list, inspect, tag, remove,
 * prune, commit.
 */
#include "tests/unit/engine/api/client.h"

TEST(load_streams_the_body_and_the_progress)
{
	struct image_progress text = { .stream = "Loaded image: img:1\n" };
	struct image_progress bar = {
		.status = "Loading layer", .id = "0123", .current = 5, .total = 9
	};
	struct image_change change = { IMAGE_LOADED, (char *)"sha256:1", (char *)"img:1" };
	char got[32] = "";
	WORLD();

	client_send(&w, "POST /images/load?quiet=0 HTTP/1.1\r\nHost: d\r\nContent-Type: "
			"application/x-tar\r\n"
			"Content-Length: 10\r\n\r\n01234");
	CHECK(PUMP(&w, fake.image_op));
	CHECK(read_all(&w, fake.image_fd, got, 5));
	fake.image_op->progress(fake.image_op, &bar);
	CHECK(PUMP(
		&w,
		has(&w,
		    "{\"status\":\"Loading layer\",\"progressDetail\":{\"current\":5,\"total\":9},"
		    "\"id\":\"0123\"}\r\n")));
	client_send(&w, "56789");
	CHECK(read_all(&w, fake.image_fd, got + 5, 5));
	CHECK_STR(got, "0123456789");
	CHECK(read_all(&w, fake.image_fd, got, 0)); /* the end of the body is the end of the pipe */
	fake.image_op->progress(fake.image_op, &text);
	fake.image_op->changes = &change;
	fake.image_op->n_changes = 1;
	fake.image_op->done(fake.image_op, 0, NULL);
	CHECK(PUMP(&w,
		   has(&w, "{\"stream\":\"Loaded image: img:1\\n\"}\r\n") && has(&w, "0\r\n\r\n")));
	fd_close(w.fd); /* the answer began before the body had ended, so that connection is over */
	connect_client(&w);
	CHECK(answers(&w, "GET /events?since=1", NULL, "200", "\"Action\":\"load\""));
}

TEST(load_that_fails_at_once_has_a_status)
{
	struct err e = { 0 };
	WORLD();

	client_send(&w, "POST /images/load HTTP/1.1\r\nHost: d\r\nContent-Length: 3\r\n\r\nabc");
	CHECK(PUMP(&w, fake.image_op));
	err_set(&e, EINVAL, "this is no archive");
	fake.image_op->done(fake.image_op, -EINVAL, &e);
	CHECK(PUMP(&w,
		   has(&w, "400 Bad Request") && has(&w, "{\"message\":\"this is no archive\"}")));
}

TEST(load_that_fails_later_says_so_in_the_stream)
{
	struct image_progress bar = { .status = "Loading layer", .id = "0123" };
	struct err e = { 0 };
	WORLD();

	client_send(&w, "POST /images/load HTTP/1.1\r\nHost: d\r\nContent-Length: 3\r\n\r\nabc");
	CHECK(PUMP(&w, fake.image_op));
	fake.image_op->progress(fake.image_op, &bar);
	err_set(&e, ENOSPC, "no space");
	fake.image_op->done(fake.image_op, -ENOSPC, &e);
	CHECK(PUMP(&w,
		   has(&w,
		       "{\"errorDetail\":{\"message\":\"no space\"},\"error\":\"no space\"}\r\n")));
	CHECK(has(&w, "200 OK"));
}

TEST(load_is_taken_back_when_the_client_leaves)
{
	WORLD();

	client_send(&w, "POST /images/load HTTP/1.1\r\nHost: d\r\nContent-Length: 30\r\n\r\nabc");
	CHECK(PUMP(&w, fake.image_op));
	fd_close(take_fd(w.fd));
	while (fake.cancelled_images == 0)
		loop_once(w.en.loop, 50);
}

TEST(import_streams_the_body_and_tells_the_id)
{
	struct image_change changes[] = { { IMAGE_MADE, (char *)"sha256:77", NULL },
					  { IMAGE_TAGGED, (char *)"sha256:77", (char *)"a:1" } };
	char got[16] = "";
	WORLD();

	client_send(&w,
		    "POST /images/create?fromSrc=-&repo=a&tag=1&message=m&platform=linux/arm64"
		    "&changes=CMD+[%22x%22] HTTP/1.1\r\nHost: d\r\nContent-Length: 5\r\n\r\n01234");
	CHECK(PUMP(&w, fake.image_op));
	CHECK_STR(fake.asked, "make - a:1 m arm64 x");
	CHECK(read_all(&w, fake.image_fd, got, 5));
	CHECK_STR(got, "01234");
	fake.image_op->changes = changes;
	fake.image_op->n_changes = 2;
	fake.image_op->done(fake.image_op, 0, NULL);
	CHECK(PUMP(&w, has(&w, "{\"status\":\"sha256:77\"}\r\n") && has(&w, "0\r\n\r\n")));
	CHECK(answers(&w, "GET /events?since=1", NULL, "200", "\"Action\":\"import\""));
}

TEST(what_cannot_be_imported)
{
	WORLD();

	CHECK(answers(&w, "POST /images/create?repo=a", NULL, "400", "fromImage or fromSrc"));
	CHECK(answers(&w, "POST /images/create?fromSrc=x.example/a.tar&repo=a", NULL, "400",
		      "does not begin with http"));
	CHECK(answers(&w, "POST /images/create?fromSrc=-&changes=RUN+x", NULL, "400",
		      "RUN is not a valid change command"));
	CHECK(answers(&w, "POST /images/create?fromSrc=-&platform=windows/amd64", NULL, "400",
		      "only linux images run here"));
	CHECK(!fake.image_op);
}

TEST(pull_streams_its_lines)
{
	struct image_progress begin = { .status = "Pulling from a", .id = "1" };
	struct image_progress bar = {
		.status = "Downloading", .id = "abc", .current = 5, .total = 9
	};
	struct image_progress end = { .status = "Status: done" };
	WORLD();

	client_send(&w, "POST /images/create?fromImage=a&tag=1&platform=linux/arm64/v8 HTTP/1.1\r\n"
			"Host: d\r\nX-Registry-Auth: eyJ1c2VybmFtZSI6ImFubiJ9\r\n\r\n");
	CHECK(PUMP(&w, fake.image_op));
	CHECK_STR(fake.asked, "pull docker.io/library/a:1 linux/arm64/v8 as ann");
	fake.image_op->progress(fake.image_op, &begin);
	fake.image_op->progress(fake.image_op, &bar);
	fake.image_op->progress(fake.image_op, &end);
	fake.image_op->done(fake.image_op, 0, NULL);
	CHECK(PUMP(
		&w,
		has(&w, "{\"status\":\"Pulling from a\",\"progressDetail\":{},\"id\":\"1\"}\r\n") &&
			has(&w,
			    "\"progressDetail\":{\"current\":5,\"total\":9},\"id\":\"abc\"}\r\n") &&
			has(&w, "{\"status\":\"Status: done\"}\r\n") && has(&w, "0\r\n\r\n")));
	CHECK(answers(&w, "GET /events?since=1", NULL, "200", "\"Action\":\"pull\""));
}

TEST(pull_fails_before_and_behind_the_first_line)
{
	struct image_progress begin = { .status = "Pulling from a", .id = "1" };
	struct err e = { 0 };
	WORLD();

	client_send(&w, "POST /images/create?fromImage=a&tag=1 HTTP/1.1\r\nHost: d\r\n\r\n");
	CHECK(PUMP(&w, fake.image_op));
	err_set(&e, ENOENT, "manifest unknown");
	fake.image_op->done(fake.image_op, -ENOENT, &e);
	CHECK(PUMP(&w, has(&w, "404 Not Found") && has(&w, "{\"message\":\"manifest unknown\"}")));
	fake.image_op = NULL;
	client_send(&w, "POST /images/create?fromImage=b&tag=1 HTTP/1.1\r\nHost: d\r\n\r\n");
	CHECK(PUMP(&w, fake.image_op));
	fake.image_op->progress(fake.image_op, &begin);
	fake.image_op->done(fake.image_op, -ENOENT, &e);
	CHECK(PUMP(&w, has(&w, "\"error\":\"manifest unknown\"}\r\n") && has(&w, "0\r\n\r\n")));
}

TEST(what_cannot_be_pulled)
{
	WORLD();

	CHECK(answers(&w, "POST /images/create?fromImage=a", NULL, "501", "name one"));
	CHECK(answers(&w, "POST /images/create?fromImage=UP&tag=1", NULL, "400",
		      "invalid reference format"));
	CHECK(answers(&w, "POST /images/create?fromImage=a&tag=1&platform=pdp11", NULL, "400",
		      "unknown operating system"));
	CHECK(!fake.image_op);
}

TEST(login_tells_the_verdict)
{
	struct err e = { 0 };
	WORLD();

	client_send(
		&w,
		"POST /auth HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n"
		"Content-Length: 43\r\n\r\n{\"username\":\"ann\",\"serveraddress\":\"r:5000\"}");
	CHECK(PUMP(&w, fake.login));
	CHECK_STR(fake.asked, "login r:5000 as ann");
	fake.login->done(fake.login, 0, "tok", NULL);
	CHECK(PUMP(&w, has(&w, "{\"Status\":\"Login Succeeded\",\"IdentityToken\":\"tok\"}")));
	fake.login = NULL;
	client_send(&w, "POST /auth HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n"
			"Content-Length: 2\r\n\r\n{}");
	CHECK(PUMP(&w, fake.login));
	err_set(&e, EKEYREJECTED, "unauthorized: no");
	fake.login->done(fake.login, -EKEYREJECTED, NULL, &e);
	CHECK(PUMP(&w, has(&w, "401 Unauthorized") && has(&w, "unauthorized: no")));
}

TEST(commit_answers_with_the_id)
{
	struct image_change changes[] = { { IMAGE_MADE, (char *)"sha256:77", NULL },
					  { IMAGE_TAGGED, (char *)"sha256:77", (char *)"a:1" } };
	struct err e = { 0 };
	WORLD();

	CHECK(answers(&w, "POST /commit?container=none", NULL, "404", "No such container: none"));
	CHECK(answers(&w, "POST /commit?container=web", "[]", "400", "invalid JSON"));
	ask(&w,
	    "POST /commit?container=web&repo=a&tag=1&author=me&comment=c&changes=USER+x&pause=0",
	    "{\"User\":\"u\"}");
	CHECK(PUMP(&w, fake.commit));
	CHECK_STR(fake.asked, "commit web a:1 me c pause=0 USER x u");
	fake.commit->stored(fake.commit, changes, 2);
	fake.commit->done(fake.commit, 0, "sha256:77", NULL);
	CHECK(PUMP(&w, has(&w, "201 Created") && has(&w, "{\"Id\":\"sha256:77\"}\n")));
	CHECK(answers(&w, "GET /events?since=1", NULL, "200", "\"Action\":\"tag\""));
	fd_close(w.fd);
	connect_client(&w);
	fake.commit = NULL;
	ask(&w, "POST /commit?container=web", "null ");
	CHECK(PUMP(&w, fake.commit));
	CHECK_STR(fake.asked, "commit web  - - pause=1 - -");
	err_set(&e, ENOSPC, "no space");
	fake.commit->done(fake.commit, -ENOSPC, NULL, &e);
	CHECK(PUMP(&w, has(&w, "507 ") && has(&w, "no space")));
}

TEST(save_streams_the_archive)
{
	char *ids[] = { (char *)"sha256:1111", NULL };
	WORLD();

	ask(&w,
	    "GET /v1.51/images/host:5000/a/b:1/get?platform={\"os\":\"linux\","
	    "\"architecture\":\"amd64\"}",
	    NULL);
	CHECK(PUMP(&w, fake.save));
	CHECK_STR(fake.asked, "save host:5000/a/b:1 linux/amd64");
	fake.output = "tar bytes";
	fake.save->readable(fake.save);
	CHECK(PUMP(&w, has(&w, "9\r\ntar bytes\r\n")));
	CHECK(has(&w, "200 OK") && has(&w, "Content-Type: application/x-tar\r\n"));
	fake.save->ids = ids;
	fake.save->done(fake.save, 0, NULL);
	CHECK(PUMP(&w, has(&w, "0\r\n\r\n")));
	CHECK(answers(&w, "GET /events?since=1", NULL, "200", "\"Action\":\"save\""));
}

TEST(save_of_many_and_what_goes_wrong)
{
	struct err e = { 0 };
	WORLD();

	CHECK(answers(&w, "GET /images/get", NULL, "400", "names: say which images"));
	CHECK(answers(&w, "GET /images/a/get?platform=x", NULL, "400", "invalid platform"));
	fake.next_error = ENOENT;
	fake.next_text = "No such image: a:latest";
	CHECK(answers(&w, "GET /images/get?names=a", NULL, "404",
		      "{\"message\":\"No such image: a:latest\"}"));
	ask(&w, "GET /images/get?names=a:1&names=b", NULL);
	CHECK(PUMP(&w, fake.save));
	CHECK_STR(fake.asked, "save a:1 b");
	err_set(&e, EIO, "the blob is damaged");
	fake.save->done(fake.save, -EIO, &e);
	CHECK(PUMP(&w, has(&w, "500 Internal") && has(&w, "the blob is damaged")));
	/* behind the first byte only a broken stream can say it */
	fake.save = NULL;
	ask(&w, "GET /images/get?names=a:1", NULL);
	CHECK(PUMP(&w, fake.save));
	fake.output = "half";
	fake.save->readable(fake.save);
	CHECK(PUMP(&w, has(&w, "half")));
	fake.save->done(fake.save, -EIO, &e);
	CHECK(PUMP(&w, w.eof));
	CHECK(!has(&w, "0\r\n\r\n"));
}

TEST(save_ends_when_the_client_leaves)
{
	WORLD();

	ask(&w, "GET /images/get?names=a:1", NULL);
	CHECK(PUMP(&w, fake.save));
	fd_close(take_fd(w.fd));
	while (fake.gone_saves == 0)
		loop_once(w.en.loop, 50);
}

TEST(image_operations)
{
	struct image_change changes[] = { { IMAGE_UNTAGGED, (char *)"sha256:1", (char *)"img:1" },
					  { IMAGE_DELETED, (char *)"sha256:1", NULL } };
	WORLD();

	fake.image = (struct image){ .id = (char *)"sha256:1111" };
	fake.has_image = true;
	CHECK(answers(&w, "GET /images/json", NULL, "200", "\r\n\r\n[\"sha256:1111 3\"]\n"));
	CHECK(answers(&w, "GET /images/json?filters={\"dangling\":{\"false\":true}}", NULL, "200",
		      "\r\n\r\n[]\n"));
	CHECK(answers(&w, "GET /images/json?filters={\"reference\":[\"x\"]}", NULL, "200",
		      "\r\n\r\n[]\n"));
	CHECK(answers(&w, "GET /v1.50/images/json", NULL, "200", "\r\n\r\n[\"sha256:1111 -1\"]\n"));
	CHECK(answers(&w, "GET /v1.42/images/json", NULL, "200",
		      "\r\n\r\n[\"sha256:1111 -1 none\"]\n"));
	CHECK(answers(&w, "GET /images/img:1/json", NULL, "200", "\"sha256:1111\"\n"));
	CHECK(answers(&w, "GET /v1.43/images/img:1/json?manifests=1", NULL, "200",
		      "\"sha256:1111 virtual\"\n"));
	CHECK(answers(&w, "GET /images/img:1/json?manifests=1", NULL, "200",
		      "\"sha256:1111 manifests\"\n"));
	CHECK(answers(&w, "GET /images/img:1/history", NULL, "200", "\"history\"\n"));
	CHECK(answers(&w, "GET /images/host:5000/a/b:1/json", NULL, "404",
		      "No such image: host:5000/a/b:1"));
	CHECK(answers(&w, "POST /images/img:1/tag?repo=new&tag=2", NULL, "201", ""));
	CHECK_STR(fake.asked, "tag img:1 new:2");
	ask(&w, "DELETE /images/host:5000/a:1?force=1&noprune=False", NULL);
	CHECK(PUMP(&w, fake.image_op));
	CHECK_STR(fake.asked, "rmi host:5000/a:1 1");
	fake.image_op->changes = changes;
	fake.image_op->n_changes = 2;
	fake.image_op->done(fake.image_op, 0, NULL);
	CHECK(PUMP(&w, has(&w, "[{\"Untagged\":\"img:1\"},{\"Deleted\":\"sha256:1\"}]\n")));
}

TEST(images_are_pruned)
{
	struct image_change changes[] = { { IMAGE_UNTAGGED, (char *)"sha256:1", (char *)"img:1" },
					  { IMAGE_DELETED, (char *)"sha256:1", NULL },
					  { IMAGE_LAYER_DELETED, (char *)"sha256:2", NULL } };
	char *tags[] = { (char *)"img:1", NULL };
	WORLD();

	fake.image = (struct image){ .id = (char *)"sha256:1111", .created_ns = 5 };
	fake.has_image = true;
	/* what a container uses stays, and what the filters do not let through */
	CHECK(answers(&w, "POST /images/prune", NULL, "200", "null"));
	fake.image.id = (char *)"sha256:2222";
	fake.image.tags = tags;
	CHECK(answers(&w, "POST /images/prune", NULL, "200",
		      "{\"ImagesDeleted\":null,\"SpaceReclaimed\":0}\n"));
	CHECK(answers(&w, "POST /images/prune?filters={\"dangling\":{\"true\":true}}", NULL, "200",
		      "null"));
	CHECK(answers(&w, "POST /images/prune?filters={\"dangling\":[\"0\"],\"label\":[\"a\"]}",
		      NULL, "200", "null"));
	CHECK(answers(&w, "POST /images/prune?filters={\"x\":[\"1\"]}", NULL, "400",
		      "invalid filter 'x'"));
	CHECK(answers(&w, "POST /images/prune?filters={\"until\":[\"soon\"]}", NULL, "400",
		      "until"));
	CHECK(!fake.image_op);
	ask(&w,
	    "POST /images/prune?filters={\"dangling\":{\"false\":true},\"label!\":[\"a\"],"
	    "\"until\":[\"1s\"]}",
	    NULL);
	CHECK(PUMP(&w, fake.image_op));
	CHECK_STR(fake.asked, "rmi sha256:2222 1");
	fake.image_op->changes = changes;
	fake.image_op->n_changes = 3;
	fake.image_op->freed = 77;
	CHECK(w.en.pruning_images);
	fake.image_op->done(fake.image_op, 0, NULL);
	CHECK(PUMP(&w,
		   has(&w, "{\"ImagesDeleted\":[{\"Untagged\":\"img:1\"},{\"Deleted\":\"sha256:1\"}"
			   ",{\"Deleted\":\"sha256:2\"}],\"SpaceReclaimed\":77}\n")));
	CHECK(!w.en.pruning_images);
	CHECK(answers(&w, "GET /events?since=1", NULL, "200", "\"reclaimed\":\"77\""));
}
