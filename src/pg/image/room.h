/*
 * room.h
 *		Reserves disk space for an image.
 */
#ifndef LBREC_IMAGE_ROOM_H
#define LBREC_IMAGE_ROOM_H

#include "pg/server/lbrec.h"

extern int	lbrec_check_room(int fd, Size size);
extern int	lbrec_set_aside(int fd, off_t size);

#endif							/* LBREC_IMAGE_ROOM_H */
