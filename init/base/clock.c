/*
 * Clocks in nanoseconds and RFC 3339 text.
 *
 * The calendar is computed here (proleptic Gregorian, days since 1970-03-01 shifted), so that no
 * time zone and no locale ever matters. Used by logs, API objects, the engine's files.
 */
#include "init/base/clock.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define NS_PER_S INT64_C(1000000000)

static int64_t read_clock(clockid_t id)
{
	struct timespec ts = { 0 };

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

int64_t clock_real_ns(void)
{
	return read_clock(CLOCK_REALTIME);
}

int64_t clock_mono_ns(void)
{
	return read_clock(CLOCK_BOOTTIME);
}

/* days since 1970-01-01 of a civil date; March is the first month of the computation's year */
static int64_t days_from_civil(int64_t y, int m, int d)
{
	int64_t era, year_of_era, day_of_year;

	y -= m <= 2;
	era = (y >= 0 ? y : y - 399) / 400;
	year_of_era = y - era * 400;
	day_of_year = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 +
	       day_of_year - 719468;
}

static void civil_from_days(int64_t days, int *y, int *m, int *d)
{
	int64_t era, day_of_era, year_of_era, day_of_year, month;

	days += 719468;
	era = (days >= 0 ? days : days - 146096) / 146097;
	day_of_era = days - era * 146097;
	year_of_era =
		(day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	month = (5 * day_of_year + 2) / 153;
	*d = (int)(day_of_year - (153 * month + 2) / 5 + 1);
	*m = (int)(month < 10 ? month + 3 : month - 9);
	*y = (int)(year_of_era + era * 400 + (*m <= 2));
}

void clock_format(int64_t real_ns, char buf[CLOCK_TEXT_MAX])
{
	int64_t seconds = real_ns / NS_PER_S, ns = real_ns % NS_PER_S, days, rest;
	int y, m, d;

	if (real_ns == 0) {
		snprintf(buf, CLOCK_TEXT_MAX, "0001-01-01T00:00:00Z");
		return;
	}
	if (ns < 0) {
		ns += NS_PER_S;
		seconds--;
	}
	days = seconds / 86400;
	rest = seconds % 86400;
	if (rest < 0) {
		rest += 86400;
		days--;
	}
	civil_from_days(days, &y, &m, &d);
	snprintf(buf, CLOCK_TEXT_MAX, "%04u-%02u-%02uT%02u:%02u:%02u.%09uZ", (unsigned)y % 10000,
		 (unsigned)m, (unsigned)d, (unsigned)(rest / 3600), (unsigned)(rest / 60 % 60),
		 (unsigned)(rest % 60), (unsigned)ns);
}

/* exactly n digits at *s; -1 when they are not */
static int digits(const char **s, int n)
{
	int v = 0;

	for (int i = 0; i < n; i++, (*s)++) {
		if (**s < '0' || **s > '9')
			return -1;
		v = v * 10 + (**s - '0');
	}
	return v;
}

static bool accept(const char **s, char c)
{
	if (**s != c)
		return false;
	(*s)++;
	return true;
}

/* ".123", any number of digits, those after the ninth are dropped */
static int parse_fraction(const char **s, int64_t *ret_ns)
{
	int64_t ns = 0, unit = NS_PER_S / 10;

	if (!accept(s, '.')) {
		*ret_ns = 0;
		return 0;
	}
	if (**s < '0' || **s > '9')
		return -EINVAL;
	for (; **s >= '0' && **s <= '9'; (*s)++, unit /= 10)
		ns += (**s - '0') * unit;
	*ret_ns = ns;
	return 0;
}

/* "Z" or "+hh:mm", to the end of the text */
static int parse_offset(const char *s, int64_t *ret_seconds)
{
	int sign = *s == '-' ? -1 : 1, h, m;

	if ((*s == 'Z' || *s == 'z') && s[1] == '\0') {
		*ret_seconds = 0;
		return 0;
	}
	if (*s != '+' && *s != '-')
		return -EINVAL;
	s++;
	h = digits(&s, 2);
	if (h < 0 || h > 23 || !accept(&s, ':'))
		return -EINVAL;
	m = digits(&s, 2);
	if (m < 0 || m > 59 || *s)
		return -EINVAL;
	*ret_seconds = sign * (h * 3600 + m * 60);
	return 0;
}

static int month_days(int y, int m)
{
	static const char table[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return table[m - 1] + (m == 2 && (y % 4 == 0 && (y % 100 != 0 || y % 400 == 0)));
}

int clock_parse(const char *s, int64_t *ret_real_ns)
{
	int y, mon, d, h, min, sec;
	int64_t ns, offset, seconds, value;

	y = digits(&s, 4);
	if (y < 0 || !accept(&s, '-'))
		return -EINVAL;
	mon = digits(&s, 2);
	if (mon < 1 || mon > 12 || !accept(&s, '-'))
		return -EINVAL;
	d = digits(&s, 2);
	if (d < 1 || d > month_days(y, mon) ||
	    !(accept(&s, 'T') || accept(&s, 't') || accept(&s, ' ')))
		return -EINVAL;
	h = digits(&s, 2);
	if (h < 0 || h > 23 || !accept(&s, ':'))
		return -EINVAL;
	min = digits(&s, 2);
	if (min < 0 || min > 59 || !accept(&s, ':'))
		return -EINVAL;
	sec = digits(&s, 2);
	if (sec < 0 || sec > 60 || parse_fraction(&s, &ns) < 0 || parse_offset(s, &offset) < 0)
		return -EINVAL;
	seconds = days_from_civil(y, mon, d) * 86400 + h * 3600 + min * 60 + sec - offset;
	if (y == 1 && mon == 1 && d == 1 && h == 0 && min == 0 && sec == 0 && ns == 0) {
		*ret_real_ns = 0;
		return 0;
	}
	if (__builtin_mul_overflow(seconds, NS_PER_S, &value) ||
	    __builtin_add_overflow(value, ns, &value))
		return -EINVAL;
	*ret_real_ns = value;
	return 0;
}
