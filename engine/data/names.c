/*
 * Random names for containers that got none: an adjective of sea and weather, and the surname of
 * somebody who built lights, charted coasts or understood waves.
 *
 * The lists are ours. 80 times 80 pairs; uniqueness is the caller's business. The rule for
 * names is checked here too. See names.h.
 */
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "engine/data/names.h"
#include "init/base/util.h"

static const char name_chars[] =
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";

static const char *const adjectives[] = {
	"airy",	    "ample",	"anchored", "azure",   "balmy",	   "becalmed", "bold",
	"bracing",  "breezy",	"bright",   "briny",   "brisk",	   "buoyant",  "calm",
	"candid",   "charted",	"clear",    "coastal", "coral",	   "crisp",    "dauntless",
	"deft",	    "downwind", "dry",	    "early",   "even",	   "fair",     "faithful",
	"fathomed", "fleet",	"foamy",    "fresh",   "frosty",   "gentle",   "gleaming",
	"granite",  "gusty",	"hale",	    "hardy",   "hazy",	   "hearty",   "homebound",
	"jovial",   "keen",	"kindly",   "leeward", "level",	   "lofty",    "lucid",
	"lunar",    "mellow",	"mild",	    "misty",   "moored",   "nimble",   "northern",
	"pearly",   "pelagic",	"placid",   "quick",   "ready",	   "rocky",    "rolling",
	"salty",    "seaborne", "silvery",  "snug",    "solid",	   "spry",     "starlit",
	"staunch",  "sunlit",	"swift",    "tidal",   "tranquil", "trim",     "unsunk",
	"upwind",   "westerly", "windward",
};

static const char *const surnames[] = {
	"airy",	     "amundsen",     "barents",	  "beaufort",	"bering",    "bernoulli",
	"bjerknes",  "bougainville", "bowditch",  "brunel",	"cabot",     "cassini",
	"coriolis",  "cousteau",     "dalrymple", "dampier",	"douglass",  "drygalski",
	"ekman",     "earle",	     "eddystone", "euler",	"flinders",  "forbes",
	"foucault",  "fourier",	     "franklin",  "fresnel",	"froude",    "gerstner",
	"green",     "halley",	     "hamelin",	  "harrison",	"henson",    "hooke",
	"humboldt",  "huygens",	     "jansz",	  "kelvin",	"kerguelen", "kotzebue",
	"lagrange",  "laplace",	     "lightfoot", "magellan",	"marconi",   "marsili",
	"maury",     "mercator",     "munk",	  "nansen",	"navier",    "nordenskjold",
	"ortelius",  "peary",	     "peirce",	  "piccard",	"prandtl",   "pytheas",
	"rayleigh",  "rennell",	     "reynolds",  "ross",	"rossby",    "russell",
	"scoresby",  "shackleton",   "smeaton",	  "somerville", "stevenson", "stokes",
	"stommel",   "sverdrup",     "tasman",	  "tharp",	"thomson",   "torres",
	"vancouver", "wegener",
};

void name_random(char ret_name[NAME_RANDOM_MAX], int attempt)
{
	uint32_t random[3] = { 0 };

	/* a name is no secret: the first pair will do when the kernel has no entropy yet */
	(void)!getrandom(random, sizeof(random), GRND_NONBLOCK);
	snprintf(ret_name, NAME_RANDOM_MAX, "%s_%s", adjectives[random[0] % ARRAY_SIZE(adjectives)],
		 surnames[random[1] % ARRAY_SIZE(surnames)]);
	if (attempt > 0) {
		size_t len = strlen(ret_name);

		snprintf(ret_name + len, NAME_RANDOM_MAX - len, "%u", random[2] % 1000);
	}
}

bool name_valid(const char *s)
{
	size_t len = s ? strlen(s) : 0;

	if (len < 2 || len > NAME_LEN_MAX || strspn(s, name_chars) != len)
		return false;
	return !strchr("_.-", s[0]);
}

int name_check(const char *kind, const char *s, struct err *e)
{
	if (name_valid(s))
		return 0;
	if (s && strlen(s) > NAME_LEN_MAX)
		return err_set(e, EINVAL,
			       "Invalid %s (%.32s...), at most %d characters are allowed", kind, s,
			       NAME_LEN_MAX);
	return err_set(e, EINVAL, "Invalid %s (%s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
		       kind, s ? s : "");
}
