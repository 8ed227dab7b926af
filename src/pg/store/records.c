/*
 * records.c
 *		Checksums of the records that a model is exported as.
 */
#include "pg/store/records.h"

#include "port/pg_crc32c.h"

/* Returns the checksum for a record's header. */
uint32
lbrec_record_crc(const char *record, Size len)
{
	pg_crc32c	crc;
	Size		at = offsetof(RecordHeader, crc);

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, record, at);
	COMP_CRC32C(crc, record + sizeof(RecordHeader),
				len - sizeof(RecordHeader));
	FIN_CRC32C(crc);
	return crc;
}
