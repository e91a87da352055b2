/*
 * Encodings of the str.h contract: hex, base64, UTF-8.
 *
 * Decoders are strict: an odd digit, a stray character or bits left over are -EINVAL, so that one
 * value has one spelling. Used for digests, registry credentials, JSON and the log.
 */
#include "init/base/str.h"

void hex_encode(char *dst, const void *src, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	const unsigned char *p = src;

	for (size_t i = 0; i < len; i++) {
		dst[2 * i] = hex[p[i] >> 4];
		dst[2 * i + 1] = hex[p[i] & 15];
	}
	dst[2 * len] = '\0';
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int hex_decode(void *dst, size_t size, const char *hex)
{
	unsigned char *p = dst;

	if (strlen(hex) != 2 * size)
		return -EINVAL;
	for (size_t i = 0; i < 2 * size; i++) {
		if (hex_value(hex[i]) < 0)
			return -EINVAL;
	}
	for (size_t i = 0; i < size; i++)
		p[i] = (unsigned char)(hex_value(hex[2 * i]) << 4 | hex_value(hex[2 * i + 1]));
	return 0;
}

char *base64_encode(const void *src, size_t len)
{
	static const char table[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *p = src;
	size_t at = 0;
	char *s;

	if (len > SIZE_MAX / 2)
		return NULL;
	s = malloc((len + 2) / 3 * 4 + 1);
	if (!s)
		return NULL;
	for (size_t i = 0; i < len; i += 3) {
		size_t n = MIN(len - i, (size_t)3);
		uint32_t v = (uint32_t)p[i] << 16 | (n > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
			     (n > 2 ? p[i + 2] : 0);

		s[at++] = table[v >> 18];
		s[at++] = table[v >> 12 & 63];
		s[at++] = n > 1 ? table[v >> 6 & 63] : '=';
		s[at++] = n > 2 ? table[v & 63] : '=';
	}
	s[at] = '\0';
	return s;
}

static int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+' || c == '-')
		return 62;
	if (c == '/' || c == '_')
		return 63;
	return -1;
}

/* the number of digits before the padding; -EINVAL when padding or length are wrong */
static ssize_t base64_digits(const char *text)
{
	size_t len = strlen(text), n = len;

	while (n > 0 && text[n - 1] == '=')
		n--;
	if (n % 4 == 1 || len - n > 2 || (len != n && len % 4 != 0))
		return -EINVAL;
	return (ssize_t)n;
}

int base64_decode(const char *text, void **ret_data, size_t *ret_len)
{
	_cleanup_(mem_free) unsigned char *data = NULL;
	ssize_t n = base64_digits(text);
	uint32_t v = 0;
	size_t at = 0;
	int bits = 0;

	if (n < 0)
		return (int)n;
	data = malloc((size_t)n / 4 * 3 + 3);
	if (!data)
		return -ENOMEM;
	for (ssize_t i = 0; i < n; i++) {
		int d = base64_value(text[i]);

		if (d < 0)
			return -EINVAL;
		v = v << 6 | (uint32_t)d;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			data[at++] = (unsigned char)(v >> bits);
			v &= (1u << bits) - 1;
		}
	}
	if (v != 0)
		return -EINVAL;
	data[at] = '\0';
	*ret_data = take_ptr(data);
	*ret_len = at;
	return 0;
}

size_t str_utf8_len(const char *s, size_t n)
{
	const unsigned char *p = (const unsigned char *)s;
	unsigned char low = 0x80, high = 0xbf;
	size_t len;

	if (n == 0)
		return 0;
	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	len = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (n < len)
		return 0;
	/* no overlong forms, no surrogates, nothing above U+10FFFF: the second byte decides */
	if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	if (p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++) {
		if (p[i] < 0x80 || p[i] > 0xbf)
			return 0;
	}
	return len;
}
