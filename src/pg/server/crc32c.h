/*
 * crc32c.h
 *		Computes the CRC-32C of bytes.
 */
#ifndef LBREC_SERVER_CRC32C_H
#define LBREC_SERVER_CRC32C_H

#include "pg/server/lbrec.h"

#include "port/pg_crc32c.h"

static inline uint32
lbrec_crc32c(const void *data, Size size)
{
	pg_crc32c	crc;

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, data, size);
	FIN_CRC32C(crc);
	return crc;
}

#endif							/* LBREC_SERVER_CRC32C_H */
