/*
 * cv_load.c
 *		Listens to COPY text, in batches that a target takes.
 *
 * A COPY stream carries one table.  So the rows of listen go out as they come,
 * and the rows of recording, each UUID once as far as cv_seen remembers, wait
 * in memory for the end of the batch.  A batch ends at BATCH_LISTENS, or when
 * the waiting recordings fill BATCH_RECORDING_BYTES: many small batches cost
 * a merge each, one large batch would cost memory here and temporary space
 * there.
 */
#include "cv_load.h"
#include "cv_seen.h"
#include "cv_sql.h"
#include "cv_text.h"

#include <stdlib.h>
#include <string.h>

#define BATCH_LISTENS 1000000
#define BATCH_RECORDING_BYTES ((size_t) 8 << 20)
#define SEND_BYTES ((size_t) 128 << 10)

struct CvLoad
{
	CvTarget   *target;
	CvTable		table;
	CvSeen	   *seen;
	CvBuf		listens;		/* not yet given to the target */
	CvBuf		recordings;
	int			in_batch;
	const char *listen_table;
	bool		by_month;
	bool		month_seen[CV_SQL_MONTHS];	/* in this batch */
	bool		copying;		/* the COPY of listens is open */
	bool		merging;		/* it goes to the temporary table */
	int64_t		written;
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
	free(load);
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
	return exec_all(load->target, cv_sql_session) &&
		cv_load_tables(load->target, load->by_month) &&
		exec_all(load->target, cv_sql_staging) &&
		load->target->bulk_begin(load->target);
}

void
cv_load_into(CvLoad *load, const char *listen_table)
{
	load->listen_table = listen_table;
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
create_partitions(CvLoad *load)
{
	bool		ok = true;

	for (int month = 0; month < CV_SQL_MONTHS; month++)
	{
		CvBuf		sql = {0};

		if (!ok || !load->month_seen[month])
			continue;
		load->month_seen[month] = false;
		cv_sql_partition(&sql, load->listen_table, month);
		ok = exec_buf(load->target, &sql, NULL);
	}
	return ok;
}

static bool
merge(CvLoad *load)
{
	CvTarget   *target = load->target;
	CvBuf		bulk = {0};
	CvBuf		keyed = {0};
	int64_t		rows = load->in_batch;
	bool		ok;

	cv_sql_merge_listens(&bulk, load->listen_table, false);
	/* What is to replace listen has no key. */
	cv_sql_merge_listens(&keyed, load->listen_table,
						 strcmp(load->listen_table, CV_SQL_LISTEN) == 0);
	ok = target->exec(target, cv_sql_merge_recordings, NULL) &&
		target->exec(target, cv_sql_merge_identifiers, NULL) &&
		(!load->merging ||
		 (create_partitions(load) &&
		  target->exec_either(target, bulk.data, keyed.data, &rows))) &&
		target->exec(target, cv_sql_empty_staging, NULL);
	load->written += rows;
	cv_buf_free(&bulk);
	cv_buf_free(&keyed);
	return ok;
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
	if (!send_rows(load, &load->listens) || !target->copy_end(target))
		return false;
	load->copying = false;
	if (load->recordings.len > 0 &&
		!(target->copy_begin(target, CV_SQL_COPY_RECORDINGS) &&
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

static bool
begin_listens(CvLoad *load)
{
	CvBuf		sql = {0};
	bool		ok;

	/* Partitions are created when the batch is known, so after the COPY. */
	load->merging = !load->target->direct || load->by_month;
	cv_buf_printf(&sql,
				  "COPY %s (user_id, listened_at, recording_msid) FROM STDIN",
				  load->merging ? "lbrec_new_listen" : load->listen_table);
	ok = load->target->copy_begin(load->target, sql.data);
	cv_buf_free(&sql);
	load->copying = ok;
	return ok;
}

bool
cv_load_listen(CvLoad *load, const CvListen *listen)
{
	if (load->table != CV_TABLE_LISTEN &&
		!cv_seen_add(load->seen, &listen->recording_msid,
					 listen->has_recording_mbid &&
					 load->table == CV_TABLE_BOTH))
		add_recording(&load->recordings, listen);
	if (load->table == CV_TABLE_RECORDING)
		return load->recordings.len < SEND_BYTES ||
			send_rows(load, &load->recordings);

	if (load->table == CV_TABLE_BOTH && !load->copying &&
		!begin_listens(load))
		return false;
	cv_copy_int64(&load->listens, listen->user_id);
	cv_buf_add(&load->listens, "\t", 1);
	cv_copy_time(&load->listens, listen->listened_at);
	cv_buf_add(&load->listens, "\t", 1);
	cv_copy_uuid(&load->listens, &listen->recording_msid);
	cv_buf_add(&load->listens, "\n", 1);
	load->in_batch++;
	if (load->by_month)
		load->month_seen[cv_sql_month(listen->listened_at)] = true;
	if (load->listens.len >= SEND_BYTES && !send_rows(load, &load->listens))
		return false;
	if (load->table == CV_TABLE_BOTH &&
		(load->in_batch >= BATCH_LISTENS ||
		 load->recordings.len >= BATCH_RECORDING_BYTES))
		return cv_load_flush(load);
	return true;
}
