/*
 * md_names.c
 *		Invented names of artists, releases, tracks and users.
 *
 * A genre has a language, and a language is a list of words (English) or of
 * syllables that words are made of.  Any likeness to a real artist is chance.
 * The texts go into the world's arena escaped for JSON, once, as the dump's
 * format has them: so writing a line is copying.
 */
#include "md.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The longest name before escaping, in bytes. */
#define NAME_MAX_BYTES 400

typedef struct Draft
{
	char		text[NAME_MAX_BYTES + 64];
	size_t		len;
} Draft;

typedef struct Language
{
	const char *const *syllables;
	int			n;
	int			least;			/* syllables in a word */
	int			most;
	bool		upper;			/* words begin with a capital letter */
	bool		spaces;			/* between words */
} Language;

#define COUNT(array) ((int) (sizeof(array) / sizeof((array)[0])))

static const char *const adjectives[] = {
	"Silent", "Golden", "Broken", "Electric", "Hollow", "Velvet", "Distant",
	"Crimson", "Restless", "Frozen", "Burning", "Lonely", "Paper", "Neon",
	"Midnight", "Wooden", "Bitter", "Sweet", "Young", "Old", "Wild", "Quiet",
	"Invisible", "Little", "Last", "First", "Second", "Sleeping", "Falling",
	"Northern", "Southern", "Concrete", "Crystal", "Dirty", "Empty", "Honest",
	"Black", "White", "Blue", "Green", "Grey", "Slow", "Careless", "Tender",
	"Plastic", "Magnetic", "Sunken", "Borrowed", "Perfect", "Ordinary"
};

static const char *const nouns[] = {
	"River", "Hour", "Machine", "Garden", "Window", "Summer", "Winter",
	"Mirror", "Engine", "Harbour", "Stranger", "Letter", "Thunder", "Shadow",
	"Fire", "Ocean", "Mountain", "Animal", "Kingdom", "Signal", "Satellite",
	"Bridge", "Dream", "Heart", "Highway", "Ghost", "Colour", "Language",
	"Promise", "Radio", "Sister", "Brother", "Soldier", "Morning", "Sunday",
	"Station", "Circle", "Feather", "Stone", "Glass", "Wire", "Island",
	"Lantern", "Parade", "Orchard", "Weather", "Desert", "Planet", "Cathedral",
	"Telephone", "Dancer", "Wolf", "Sparrow", "Whale", "Crow", "Tiger"
};

static const char *const verbs[] = {
	"Run", "Hold On", "Come Back", "Let Go", "Wait", "Remember", "Forget",
	"Fall", "Rise", "Burn", "Dance", "Don't Look", "Stay", "Breathe", "Wake Up",
	"Drive", "Carry Me", "Follow", "Leave", "Can't Stop"
};

static const char *const given[] = {
	"Ada", "Milo", "Nora", "Jonah", "Lena", "Otis", "Ruth", "Caleb", "Iris",
	"Hugo", "Marta", "Elias", "June", "Felix", "Dolores", "Amos", "Greta",
	"Silas", "Wanda", "Percy", "Zoë", "Renée", "Søren", "Håkon", "Jürgen",
	"Inés", "Łukasz", "Šimon"
};

static const char *const romance[] = {
	"la", "ma", "ra", "ción", "do", "té", "mi", "lu", "na", "ve", "so", "ña",
	"que", "ri", "go", "lle", "ban", "dor", "és", "fe", "pa", "ço", "ão"
};

static const char *const nordic[] = {
	"skog", "natt", "fjäll", "is", "brød", "sjö", "vår", "ull", "dag", "ing",
	"havn", "ström", "grå", "lys", "ö", "tind", "rø", "mark", "storm", "kväll"
};

static const char *const slavic[] = {
	"но", "чь", "ве", "тер", "снег", "ре", "ка", "до", "ро", "га", "зи", "ма",
	"сол", "це", "мо", "ре", "ла", "ня", "пти", "ца", "во", "да", "лю", "бо"
};

static const char *const greek[] = {
	"θά", "λασ", "σα", "νύ", "χτα", "φω", "τιά", "μέ", "ρα", "αγ", "ά", "πη",
	"ή", "λιος", "φεγ", "γά", "ρι", "κα", "λο", "καί", "ψυ", "χή"
};

static const char *const japanese[] = {
	"夜", "空", "花", "風", "夢", "星", "海", "雨", "月", "の", "ラ", "ブ",
	"カ", "メ", "ロ", "ディ", "ー", "ン", "ス", "ト", "さ", "く", "ら", "東京"
};

static const char *const chinese[] = {
	"夜", "空", "城", "市", "愛", "情", "雨", "後", "彩", "虹", "風", "箏",
	"時", "光", "青", "春", "故", "事", "海", "岸", "明", "天", "我", "們"
};

static const char *const korean[] = {
	"사", "랑", "밤", "하", "늘", "별", "꽃", "길", "봄", "비", "바", "다",
	"기", "억", "나", "무", "새", "벽", "노", "래", "우", "리"
};

static const char *const arabic[] = {
	"ليل", "حب", "قمر", "يا", "نور", "بحر", "قلب", "عين", "شمس", "ورد",
	"سلام", "حلم", "غيم", "نهر"
};

static const char *const hebrew[] = {
	"אהבה", "לילה", "שמש", "ים", "רוח", "שיר", "אור", "בית", "חלום", "גשם"
};

static const char *const devanagari[] = {
	"दिल", "रात", "चाँद", "प्यार", "सपना", "बारिश", "हवा", "सागर", "तारा", "गीत"
};

#define LANGUAGE(list, least, most, upper, spaces) \
	{list, COUNT(list), least, most, upper, spaces}

static const Language languages[] = {
	LANGUAGE(romance, 2, 4, true, true),
	LANGUAGE(nordic, 1, 3, true, true),
	LANGUAGE(slavic, 2, 4, false, true),
	LANGUAGE(japanese, 2, 6, false, false),
	LANGUAGE(korean, 2, 4, false, true),
	LANGUAGE(chinese, 2, 5, false, false),
	LANGUAGE(greek, 2, 4, false, true),
	LANGUAGE(arabic, 1, 1, false, true),
	LANGUAGE(devanagari, 1, 1, false, true),
	LANGUAGE(hebrew, 1, 1, false, true)
};

/* Half of the genres are English, the others take turns. */
static const Language *
language_of(int genre, MdRng *rng)
{
	if (genre % 2 == 0 || md_chance(rng, 0.15))
		return NULL;
	return &languages[genre / 2 % COUNT(languages)];
}

static void
add(Draft *draft, const char *text)
{
	size_t		len = strlen(text);

	if (draft->len + len > NAME_MAX_BYTES)
		return;
	memcpy(draft->text + draft->len, text, len);
	draft->len += len;
}

static void
add_one_of(Draft *draft, MdRng *rng, const char *const *list, int n)
{
	add(draft, list[md_below(rng, n)]);
}

static void
add_adjective(Draft *draft, MdRng *rng)
{
	add_one_of(draft, rng, adjectives, COUNT(adjectives));
}

static void
add_noun(Draft *draft, MdRng *rng)
{
	add_one_of(draft, rng, nouns, COUNT(nouns));
}

static void
add_word(Draft *draft, MdRng *rng, const Language *language)
{
	int			n = language->least;
	size_t		start = draft->len;

	n += (int) md_below(rng, language->most - language->least + 1);
	while (n-- > 0)
		add_one_of(draft, rng, language->syllables, language->n);
	if (language->upper && draft->len > start &&
		draft->text[start] >= 'a' && draft->text[start] <= 'z')
		draft->text[start] -= 'a' - 'A';
}

static void
add_words(Draft *draft, MdRng *rng, const Language *language, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (i > 0 && language->spaces)
			add(draft, " ");
		add_word(draft, rng, language);
	}
}

/* A family name: an invented word. */
static void
add_family(Draft *draft, MdRng *rng)
{
	add_word(draft, rng, &languages[md_below(rng, 2)]);
}

static char *
escape_unit(char *p, unsigned unit)
{
	return p + sprintf(p, "\\u%04x", unit);
}

/* Decodes one character of our own, valid UTF-8. */
static const char *
decode(const char *s, unsigned *code)
{
	unsigned char c = (unsigned char) *s;
	int			more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : 0;

	*code = more == 0 ? c : c & (0x3f >> more);
	for (s++; more > 0; more--, s++)
		*code = *code << 6 | ((unsigned char) *s & 0x3f);
	return s;
}

static MdText
keep(MdWorld *world, MdFormat format, const Draft *draft)
{
	MdText		text;
	char	   *p;
	const char *s = draft->text;
	const char *end = s + draft->len;

	/* A character of one byte becomes six at most, of four bytes twelve. */
	if (world->arena_len + draft->len * 6 + 1 > world->arena_cap)
	{
		world->arena_cap = world->arena_cap * 2 + (1 << 20);
		world->arena = realloc(world->arena, world->arena_cap);
		if (world->arena == NULL)
			md_fail("out of memory");
	}
	p = world->arena + world->arena_len;
	while (s < end)
	{
		const char *from = s;
		unsigned	code;

		s = decode(s, &code);
		if (code == '"' || code == '\\' ||
			(code == '/' && format == MD_2022))
		{
			*p++ = '\\';
			*p++ = (char) code;
		}
		else if (code == '\t')
		{
			*p++ = '\\';
			*p++ = 't';
		}
		else if (code < ' ')
			p = escape_unit(p, code);
		else if (code < 0x80 || format == MD_CURRENT)
		{
			memcpy(p, from, (size_t) (s - from));
			p += s - from;
		}
		else if (code < 0x10000)
			p = escape_unit(p, code);
		else
		{
			p = escape_unit(p, 0xd7c0 + (code >> 10));
			p = escape_unit(p, 0xdc00 + (code & 0x3ff));
		}
	}
	if (world->arena_len > UINT32_MAX - (1 << 16))
		md_fail("too many names: fewer --recordings, please");
	text.at = (uint32_t) world->arena_len;
	text.len = (uint16_t) (p - (world->arena + world->arena_len));
	world->arena_len += text.len;
	return text;
}

MdText
md_artist_name(MdWorld *world, MdFormat format, MdRng *rng, int genre)
{
	const Language *language = language_of(genre, rng);
	Draft		draft = {.len = 0};

	if (language != NULL)
	{
		add_words(&draft, rng, language, 1 + (int) md_below(rng, 2));
		if (md_chance(rng, 0.05))
			add(&draft, " & ");
		else
			return keep(world, format, &draft);
		add_words(&draft, rng, language, 1);
		return keep(world, format, &draft);
	}
	switch (md_below(rng, 12))
	{
		case 0:
		case 1:
			add(&draft, "The ");
			add_adjective(&draft, rng);
			add(&draft, " ");
			add_noun(&draft, rng);
			add(&draft, "s");
			break;
		case 2:
			add_noun(&draft, rng);
			add(&draft, " of ");
			add_family(&draft, rng);
			break;
		case 3:
			add(&draft, "DJ ");
			add_family(&draft, rng);
			break;
		case 4:
			add_family(&draft, rng);
			add(&draft, md_chance(rng, 0.5) ? "/" : " & ");
			add_family(&draft, rng);
			break;
		case 5:
			add_one_of(&draft, rng, given, COUNT(given));
			add(&draft, " \"");
			add_noun(&draft, rng);
			add(&draft, "\" ");
			add_family(&draft, rng);
			break;
		case 6:
			add_adjective(&draft, rng);
			add(&draft, " ");
			add_family(&draft, rng);
			break;
		default:
			add_one_of(&draft, rng, given, COUNT(given));
			add(&draft, " ");
			add_family(&draft, rng);
			break;
	}
	return keep(world, format, &draft);
}

static void
add_title(Draft *draft, MdRng *rng, const Language *language)
{
	if (language != NULL)
	{
		add_words(draft, rng, language, 1 + (int) md_below(rng, 3));
		return;
	}
	switch (md_below(rng, 7))
	{
		case 0:
			add_noun(draft, rng);
			break;
		case 1:
			add_one_of(draft, rng, verbs, COUNT(verbs));
			break;
		case 2:
			add(draft, "The ");
			add_noun(draft, rng);
			add(draft, " and the ");
			add_noun(draft, rng);
			break;
		case 3:
			add_one_of(draft, rng, verbs, COUNT(verbs));
			add(draft, ", ");
			add_noun(draft, rng);
			break;
		case 4:
			add_noun(draft, rng);
			add(draft, "'s ");
			add_noun(draft, rng);
			break;
		default:
			add_adjective(draft, rng);
			add(draft, " ");
			add_noun(draft, rng);
			break;
	}
}

MdText
md_release_name(MdWorld *world, MdFormat format, MdRng *rng, int genre)
{
	Draft		draft = {.len = 0};

	/* One listen in twenty has an empty name there. */
	if (md_chance(rng, 0.05))
		return keep(world, format, &draft);
	add_title(&draft, rng, language_of(genre, rng));
	if (md_chance(rng, 0.06))
		add(&draft, " (Deluxe Edition)");
	else if (md_chance(rng, 0.05))
		add(&draft, " [Disc 1]");
	return keep(world, format, &draft);
}

MdText
md_track_name(MdWorld *world, MdFormat format, MdRng *rng, int genre)
{
	const Language *language = language_of(genre, rng);
	Draft		draft = {.len = 0};
	int			odd = (int) md_below(rng, 1000);

	add_title(&draft, rng, language);
	if (odd < 30)
		add(&draft, " (Remastered)");
	else if (odd < 60)
		add(&draft, " (Live)");
	else if (odd < 85)
	{
		add(&draft, " (feat. ");
		add_one_of(&draft, rng, given, COUNT(given));
		add(&draft, " ");
		add_family(&draft, rng);
		add(&draft, ")");
	}
	else if (odd < 100)
		add(&draft, " - 7\" Edit");
	else if (odd < 110)
	{
		add(&draft, " / ");
		add_title(&draft, rng, language);
	}
	else if (odd < 114)
		add(&draft, " \xf0\x9f\x8c\x99");	/* a moon, beyond 16 bits */
	else if (odd < 116)
		add(&draft, " C:\\music\\01.mp3");
	else if (odd < 118)
		add(&draft, "\t(2)");
	else if (odd < 119)
	{
		/* A client that sends a whole description as the track's name. */
		while (draft.len < NAME_MAX_BYTES - 60)
		{
			add(&draft, ", ");
			add_title(&draft, rng, language);
		}
	}
	else if (odd < 120 && md_chance(rng, 0.05))
		draft.text[draft.len++] = '\0';
	return keep(world, format, &draft);
}

MdText
md_user_name(MdWorld *world, MdFormat format, MdRng *rng)
{
	Draft		draft = {.len = 0};
	char		number[16];

	add_family(&draft, rng);
	if (md_chance(rng, 0.3))
	{
		add(&draft, md_chance(rng, 0.5) ? "_" : ".");
		add_noun(&draft, rng);
	}
	if (md_chance(rng, 0.5))
	{
		snprintf(number, sizeof(number), "%d", (int) md_below(rng, 2000));
		add(&draft, number);
	}
	return keep(world, format, &draft);
}
