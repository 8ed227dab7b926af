/*
 * records.h
 *		A version of a model as records, for files.
 *
 * docs/model-format.md describes them for other programs.  In short: each row
 * is a record with a header.  The first record is a manifest, then come the
 * tensors' chunks in the manifest's order, and the last record ends the
 * export.
 */
#ifndef LBREC_STORE_RECORDS_H
#define LBREC_STORE_RECORDS_H

#include "pg/server/lbrec.h"

#define RECORD_MAGIC "lbrecmod"
#define FORMAT_VERSION 1
#define BYTE_ORDER_MARK 0x01020304
#define OTHER_BYTE_ORDER 0x04030201

typedef enum RecordKind
{
	RECORD_MANIFEST = 1,
	RECORD_CHUNK = 2,
	RECORD_END = 3,
	RECORD_EPOCHS = 4,
	RECORD_EVALUATIONS = 5
} RecordKind;

/* Limit of epochs or evaluations in one record. */
#define RECORD_MAX_ROWS 500

typedef struct RecordHeader
{
	char		magic[8];
	uint32		byte_order;
	uint32		version;
	int64		seq;
	uint32		kind;
	uint32		crc;			/* CRC of all bytes after this field */
} RecordHeader;

/* Precedes the bytes of a chunk. */
typedef struct ChunkPlace
{
	uint32		tensor;			/* index in the manifest's list */
	uint32		chunk;
} ChunkPlace;

typedef struct EndRecord
{
	int64		records;		/* number of records, this one included */
	uint32		crc;			/* CRC of the checksums of the records before */
	uint32		zero;
} EndRecord;

extern uint32 lbrec_record_crc(const char *record, Size len);

#endif							/* LBREC_STORE_RECORDS_H */
