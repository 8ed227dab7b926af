/*
 * cv_load.c
 *		Turns listens into COPY rows, in batches for a target.
 *
 * A COPY stream carries one table.  So the rows of listen go out as they come,
 * and the rows of recording, each UUID once as far as cv_seen remembers, wait
 * in memory for the end of the batch.  A batch ends at BATCH_LISTENS, or when
 * the waiting recordings fill BATCH_RECORDING_BYTES: each batch costs a merge,
 * and a large one costs memory here and temporary space in the server.
 */
#include "cv_load.h"
#include "cv_import.h"
#include "cv_seen.h"
#include "cv_sql.h"
#include "cv_text.h"

#include <stdlib.h>
#include <string.h>

#define BATCH_LISTENS 1000000
#define BATCH_RECORDING_BYTES ((size_t) 8 << 20)
#define SEND_BYTES ((size_t) 128 << 10)

/* Number of user rows remembered, so that few are sent twice. */
#define USERS_SEEN 65536

struct CvLoad
{
	CvTarget   *target;
	CvTable		table;
	CvSeen	   *seen;
	CvBuf		listens;		/* rows not yet sent to the target */
	CvBuf		recordings;
	int			in_batch;
	const char *listen_table;
	bool		by_month;
	bool		month_seen[CV_SQL_MONTHS];	/* months of this batch, or of the
											 * whole table if listens are not
											 * merged */
	bool		copying;		/* the COPY of listens is open */
	bool		merging;		/* it fills the temporary table */
	bool		user_names;
	CvBuf		users;			/* rows of lbrec_new_user */
	uint64_t	users_seen[USERS_SEEN]; /* hashes of rows of this batch */
	int64_t		written;
	CvSample	sample;
	uint64_t	random;
};

CvLoad *
cv_load_create(CvTarget *target, CvTable table, bool by_month)
{
	CvLoad	   *load = cv_alloc(sizeof(*load));

	memset(load, 0, sizeof(*load));
	load->target = target;
	load->table = table;
	load->listen_table = CV_SQL_LISTEN;
	load->by_month = by_month;
	load->seen = cv_seen_create();
	return load;
}

void
cv_load_free(CvLoad *load)
{
	if (load == NULL)
		return;
	cv_seen_free(load->seen);
	cv_buf_free(&load->listens);
	cv_buf_free(&load->recordings);
	cv_buf_free(&load->users);
	free(load);
}

void
cv_load_user_names(CvLoad *load)
{
	load->user_names = true;
}

int64_t
cv_load_written(const CvLoad *load)
{
	return load->target->counts_rows ? load->written : -1;
}

bool
cv_load_forgot(const CvLoad *load)
{
	return cv_seen_forgot(load->seen);
}

void
cv_load_sample_begin(CvLoad *load)
{
	load->sample.seen = 0;
	load->sample.n = 0;
	load->random = 0;
}

const CvSample *
cv_load_sample(const CvLoad *load)
{
	return &load->sample;
}

/*
 * Reservoir sampling (Vitter's algorithm R) with splitmix64: the i-th listen
 * enters with probability CV_SAMPLE / i and replaces a random one.
 */
static void
add_to_sample(CvLoad *load, const CvListen *listen)
{
	CvSample   *sample = &load->sample;
	uint64_t	draw;

	sample->seen++;
	if (sample->n < CV_SAMPLE)
		draw = (uint64_t) sample->n++;
	else
	{
		draw = (load->random += UINT64_C(0x9e3779b97f4a7c15));
		draw = (draw ^ (draw >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
		draw = (draw ^ (draw >> 27)) * UINT64_C(0x94d049bb133111eb);
		draw = (draw ^ (draw >> 31)) % (uint64_t) sample->seen;
		if (draw >= CV_SAMPLE)
			return;
	}
	sample->user_id[draw] = listen->user_id;
	sample->listened_at[draw] = listen->listened_at;
	sample->recording_msid[draw] = listen->recording_msid;
}

static bool
exec_all(CvTarget *target, const char *const *sql)
{
	for (; *sql != NULL; sql++)
		if (!target->exec(target, *sql, NULL))
			return false;
	return true;
}

static bool
exec_buf(CvTarget *target, CvBuf *sql, int64_t *rows)
{
	bool		ok = target->exec(target, sql->data, rows);

	cv_buf_free(sql);
	return ok;
}

bool
cv_load_tables(CvTarget *target, bool by_month)
{
	CvBuf		sql = {0};

	if (!target->exec(target, cv_sql_recording_table, NULL))
		return false;
	cv_sql_listen_table(&sql, CV_SQL_LISTEN, true, by_month);
	if (!exec_buf(target, &sql, NULL))
		return false;
	cv_sql_listen_index(&sql, CV_SQL_LISTEN);
	return exec_buf(target, &sql, NULL);
}

bool
cv_load_begin(CvLoad *load)
{
	if (load->table != CV_TABLE_BOTH)
		return true;
	return load->target->check(load->target) &&
		cv_load_tables(load->target, load->by_month) &&
		exec_all(load->target, cv_sql_staging) &&
		(!load->user_names || exec_all(load->target, cv_sql_users)) &&
		load->target->bulk_begin(load->target);
}

void
cv_load_into(CvLoad *load, const char *listen_table)
{
	load->listen_table = listen_table;
	memset(load->month_seen, 0, sizeof(load->month_seen));
}

static bool
send_rows(CvLoad *load, CvBuf *rows)
{
	bool		ok = rows->len == 0 ||
		load->target->copy_data(load->target, rows->data, rows->len);

	rows->len = 0;
	return ok;
}

static bool
create_partition(CvLoad *load, int month)
{
	CvBuf		sql = {0};
	bool		ok;

	cv_sql_partition(&sql, load->listen_table, month);
	ok = load->target->block(load->target, sql.data);
	cv_buf_free(&sql);
	return ok;
}

static bool
create_partitions(CvLoad *load)
{
	bool		ok = true;

	for (int month = 0; month < CV_SQL_MONTHS; month++)
	{
		if (!ok || !load->month_seen[month])
			continue;
		load->month_seen[month] = false;
		ok = create_partition(load, month);
	}
	return ok;
}

/*
 * Replaces user numbers in this batch and in listen by those known for their
 * names.
 */
static bool
merge_users(CvLoad *load)
{
	CvTarget   *target = load->target;
	bool		ok = target->copy_begin(target, CV_SQL_COPY_USERS) &&
		send_rows(load, &load->users) && target->copy_end(target) &&
		target->exec(target, cv_sql_merge_users, NULL) &&
		target->exec(target, cv_sql_number_batch, NULL) &&
		target->exec_either(target, CV_BULK_KEYLESS, cv_sql_number_first,
							cv_sql_number_listens, NULL) &&
		target->exec_either(target, CV_BULK_KEYLESS, NULL,
							cv_sql_number_rest, NULL) &&
		target->exec(target, "TRUNCATE pg_temp.lbrec_new_user", NULL);

	memset(load->users_seen, 0, sizeof(load->users_seen));
	return ok;
}

static bool
merge(CvLoad *load)
{
	CvTarget   *target = load->target;
	CvBuf		first = {0};
	CvBuf		later = {0};
	int64_t		rows = load->in_batch;
	bool		ok = target->check(target);

	cv_sql_merge_listens(&first, load->listen_table, false);
	/* The table whose rows will replace listen's has no key. */
	cv_sql_merge_listens(&later, load->listen_table,
						 strcmp(load->listen_table, CV_SQL_LISTEN) == 0);
	if (!target->direct_recordings)
		ok = ok &&
			target->exec_either(target, CV_BULK_FIRST, cv_sql_first_recordings,
								cv_sql_merge_recordings, NULL) &&
			target->exec_either(target, CV_BULK_FIRST, NULL,
								cv_sql_merge_identifiers, NULL);
	if (load->user_names)
		ok = ok && merge_users(load);
	if (load->merging)
		ok = ok && create_partitions(load) &&
			target->exec_either(target, CV_BULK_KEYLESS, first.data,
								later.data, &rows);
	ok = ok && target->exec(target, cv_sql_empty_staging, NULL);
	load->written += rows;
	cv_buf_free(&first);
	cv_buf_free(&later);
	return ok;
}

/* PostgreSQL's binary COPY format: a signature, rows, and -1. */
static bool
end_copy(CvLoad *load)
{
	if (load->target->binary)
		cv_buf_add(&load->listens, "\377\377", 2);
	load->copying = false;
	return send_rows(load, &load->listens) &&
		load->target->copy_end(load->target);
}

bool
cv_load_flush(CvLoad *load)
{
	CvTarget   *target = load->target;

	if (load->table != CV_TABLE_BOTH)
		return send_rows(load, &load->listens) &&
			send_rows(load, &load->recordings);
	if (load->in_batch == 0)
		return true;
	if (load->copying && !end_copy(load))
		return false;
	if (load->recordings.len > 0 &&
		!(target->copy_begin(target, target->direct_recordings
							 ? CV_SQL_COPY_FIRST : CV_SQL_COPY_RECORDINGS) &&
		  send_rows(load, &load->recordings) && target->copy_end(target)))
		return false;
	if (!merge(load))
		return false;
	load->in_batch = 0;
	return true;
}

bool
cv_load_end(CvLoad *load)
{
	int64_t		rows = 0;

	if (!cv_load_flush(load))
		return false;
	if (load->table != CV_TABLE_BOTH)
		return true;
	if (!load->target->bulk_end(load->target, &rows))
		return false;
	load->written -= rows;
	return true;
}

static void
add_text_or_null(CvBuf *buf, const CvText *text)
{
	if (text->data != NULL)
		cv_copy_text(buf, text->data, text->len);
	else
		cv_buf_add(buf, "\\N", 2);
}

static void
add_recording(CvBuf *buf, const CvListen *listen)
{
	cv_copy_uuid(buf, &listen->recording_msid);
	cv_buf_add(buf, "\t", 1);
	cv_copy_text(buf, listen->artist_name.data, listen->artist_name.len);
	cv_buf_add(buf, "\t", 1);
	cv_copy_text(buf, listen->track_name.data, listen->track_name.len);
	cv_buf_add(buf, "\t", 1);
	add_text_or_null(buf, &listen->release_name);
	cv_buf_add(buf, "\t", 1);
	if (listen->has_recording_mbid)
		cv_copy_uuid(buf, &listen->recording_mbid);
	else
		cv_buf_add(buf, "\\N", 2);
	cv_buf_add(buf, "\t", 1);
	if (listen->has_release_mbid)
		cv_copy_uuid(buf, &listen->release_mbid);
	else
		cv_buf_add(buf, "\\N", 2);
	cv_buf_add(buf, "\t", 1);
	if (listen->n_artist_mbids > 0)
	{
		for (int i = 0; i < listen->n_artist_mbids; i++)
		{
			cv_buf_add(buf, i == 0 ? "{" : ",", 1);
			cv_copy_uuid(buf, &listen->artist_mbids[i]);
		}
		cv_buf_add(buf, "}\n", 2);
	}
	else
		cv_buf_add(buf, "\\N\n", 3);
}

static void
add_binary(CvBuf *buf, uint64_t value, int bytes)
{
	char	   *p;

	cv_buf_reserve(buf, 8);
	p = buf->data + buf->len;
	for (int i = bytes - 1; i >= 0; i--, value >>= 8)
		p[i] = (char) value;
	buf->len += (size_t) bytes;
}

/* The length precedes each field; times count from 2000. */
#define EPOCH_2000 INT64_C(946684800000000)

static void
add_binary_row(CvBuf *buf, const CvListen *listen)
{
	add_binary(buf, 3, 2);
	add_binary(buf, 8, 4);
	add_binary(buf, (uint64_t) listen->user_id, 8);
	add_binary(buf, 8, 4);
	add_binary(buf, (uint64_t) (listen->listened_at - EPOCH_2000), 8);
	add_binary(buf, 16, 4);
	cv_buf_add(buf, listen->recording_msid.byte, 16);
}

static void
add_text_row(CvBuf *buf, const CvListen *listen)
{
	cv_copy_int64(buf, listen->user_id);
	cv_buf_add(buf, "\t", 1);
	cv_copy_time(buf, listen->listened_at);
	cv_buf_add(buf, "\t", 1);
	cv_copy_uuid(buf, &listen->recording_msid);
	cv_buf_add(buf, "\n", 1);
}

static bool
begin_copy(CvLoad *load)
{
	static const char signature[19] = "PGCOPY\n\377\r\n\0";
	CvBuf		sql = {0};
	bool		ok;

	/* The merge may change user numbers of the batch. */
	load->merging = !load->target->direct || load->user_names;
	cv_buf_printf(&sql,
				  "COPY %s%s (user_id, listened_at, recording_msid) FROM STDIN%s",
				  load->merging ? "pg_temp." : "@.",
				  load->merging ? "lbrec_new_listen" : load->listen_table,
				  load->target->binary ? " (FORMAT binary)" : "");
	ok = load->target->copy_begin(load->target, sql.data);
	cv_buf_free(&sql);
	load->copying = ok;
	if (load->target->binary)
		cv_buf_add(&load->listens, signature, sizeof(signature));
	return ok;
}

/*
 * Opens the COPY if it is not open.  Merged rows get their partitions when the
 * batch is complete.  Rows that go straight into the table need them before,
 * so the first listen of a month interrupts the COPY.
 */
static bool
prepare_copy(CvLoad *load, const CvListen *listen)
{
	int			month = load->by_month ? cv_sql_month(listen->listened_at) : 0;

	if (load->by_month && !load->month_seen[month])
	{
		load->month_seen[month] = true;
		if (load->target->direct &&
			((load->copying && !end_copy(load)) ||
			 !create_partition(load, month)))
			return false;
	}
	return load->copying || begin_copy(load);
}

static void
add_user(CvLoad *load, const CvListen *listen)
{
	int64_t		by_name = cv_import_user_id(listen->user_name);
	uint64_t	hash = ((uint64_t) by_name ^
						(uint64_t) listen->user_id *
						UINT64_C(0x9e3779b97f4a7c15)) | 1;
	uint64_t   *seen = &load->users_seen[(hash >> 7) % USERS_SEEN];

	if (*seen == hash)
		return;
	*seen = hash;
	cv_copy_int64(&load->users, listen->user_id);
	cv_buf_add(&load->users, "\t", 1);
	cv_copy_text(&load->users, listen->user_name.data, listen->user_name.len);
	cv_buf_add(&load->users, "\t", 1);
	cv_copy_int64(&load->users, by_name);
	cv_buf_add(&load->users, "\n", 1);
}

bool
cv_load_listen(CvLoad *load, const CvListen *listen)
{
	if (load->user_names && listen->user_name.data != NULL)
		add_user(load, listen);
	add_to_sample(load, listen);
	if (load->table != CV_TABLE_LISTEN &&
		!cv_seen_add(load->seen, &listen->recording_msid,
					 listen->has_recording_mbid &&
					 load->table == CV_TABLE_BOTH))
		add_recording(&load->recordings, listen);
	if (load->table == CV_TABLE_RECORDING)
		return load->recordings.len < SEND_BYTES ||
			send_rows(load, &load->recordings);

	if (load->table == CV_TABLE_BOTH && !prepare_copy(load, listen))
		return false;
	if (load->target->binary)
		add_binary_row(&load->listens, listen);
	else
		add_text_row(&load->listens, listen);
	load->in_batch++;
	if (load->listens.len >= SEND_BYTES && !send_rows(load, &load->listens))
		return false;
	if (load->table == CV_TABLE_BOTH &&
		(load->in_batch >= BATCH_LISTENS ||
		 load->recordings.len + load->users.len >= BATCH_RECORDING_BYTES))
		return cv_load_flush(load);
	return true;
}
